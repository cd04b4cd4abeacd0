"""Prometheus: queries behind `runbook.ports.Metrics`, and the recording rules that are shipped."""

from integrations.prometheus.metrics import PrometheusMetrics
from integrations.prometheus.rules import rules_text

__all__ = ["PrometheusMetrics", "rules_text"]
