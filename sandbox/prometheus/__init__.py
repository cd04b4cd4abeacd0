"""The real Prometheus and Alertmanager as processes."""

from sandbox.prometheus.alertmanager import LocalAlertmanager
from sandbox.prometheus.front import PrometheusFront
from sandbox.prometheus.packages import ProgramMissing, find_or_unpack
from sandbox.prometheus.remote_write import STALE
from sandbox.prometheus.server import LocalPrometheus, PrometheusRefused, Target

__all__ = [
    "STALE",
    "LocalAlertmanager",
    "LocalPrometheus",
    "ProgramMissing",
    "PrometheusFront",
    "PrometheusRefused",
    "Target",
    "find_or_unpack",
]
