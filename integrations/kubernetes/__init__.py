"""Kubernetes: one environment's context and namespace, behind `runbook.ports.Cluster`."""

from integrations.kubernetes.cluster import KubernetesCluster
from integrations.kubernetes.credentials import Credentials, Direct, InCluster, Kubeconfig

__all__ = ["Credentials", "Direct", "InCluster", "Kubeconfig", "KubernetesCluster"]
