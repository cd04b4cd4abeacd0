"""Kubernetes: one environment's context and namespace, behind `runbook.ports.Cluster`."""

from integrations.kubernetes.cluster import KubernetesCluster
from integrations.kubernetes.credentials import Credentials, Direct, InCluster, Kubeconfig
from integrations.kubernetes.rights import DEV_RIGHTS, PRODUCTION_RIGHTS, RESTORE_RIGHTS, RIGHTS

__all__ = [
    "DEV_RIGHTS",
    "PRODUCTION_RIGHTS",
    "RESTORE_RIGHTS",
    "RIGHTS",
    "Credentials",
    "Direct",
    "InCluster",
    "Kubeconfig",
    "KubernetesCluster",
]
