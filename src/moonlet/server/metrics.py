"""Numbers for Prometheus: what this server counts itself, and what the engine says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from moonlet.engine.result import Timings, Usage
from moonlet.engine.stats import EngineStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
_TOKEN_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)


class Metrics:
    """One server's numbers."""

    def __init__(self, engine_stats: Callable[[], EngineStats | None]) -> None:
        """engine_stats: this moment of the engine; None while it is loading."""
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(engine_stats))
        self._requests = Counter("moonlet_requests", "Requests answered.", ("path", "status"), registry=self._registry)
        self._ttft = Histogram(
            "moonlet_time_to_first_token_seconds",
            "From the request to its first token.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._tpot = Histogram(
            "moonlet_time_per_token_seconds",
            "Between tokens, the mean of a reply.",
            buckets=_TOKEN_SECONDS,
            registry=self._registry,
        )

    def answered(self, path: str, status: int) -> None:
        """Count a request. path: the route's, so that addresses nobody made do not become names."""
        self._requests.labels(path, str(status)).inc()

    def finished(self, usage: Usage, timings: Timings) -> None:
        """Take the times of a finished reply."""
        if timings.ttft_s is not None:
            self._ttft.observe(timings.ttft_s)
            if usage.completion_tokens > 1:
                self._tpot.observe((timings.total_s - timings.ttft_s) / (usage.completion_tokens - 1))

    def text(self) -> bytes:
        """Everything, in Prometheus' text form."""
        return generate_latest(self._registry)


class _EngineCollector(Collector):
    def __init__(self, engine_stats: Callable[[], EngineStats | None]) -> None:
        self._engine_stats = engine_stats

    def collect(self) -> Iterable[Metric]:
        stats = self._engine_stats()
        if stats is None:
            return
        for name, help_text, value in (
            ("moonlet_requests_running", "Requests that hold cache pages.", stats.num_running),
            ("moonlet_requests_queued", "Requests that wait for their turn.", stats.num_waiting),
            ("moonlet_cache_pages_used", "Cache pages held by running requests.", stats.used_pages),
            ("moonlet_cache_pages_kept", "Cache pages held for prefixes alone.", stats.cached_pages),
            ("moonlet_cache_pages", "Cache pages in all.", stats.total_pages),
        ):
            yield GaugeMetricFamily(name, help_text, value=value)
        for name, help_text, value in (
            ("moonlet_prompt_tokens", "Prompt tokens of admitted requests.", stats.counts.prompt_tokens),
            ("moonlet_cached_tokens", "Prompt tokens found in the cache.", stats.counts.cached_tokens),
            ("moonlet_generated_tokens", "Tokens sampled.", stats.counts.generated_tokens),
            ("moonlet_requests_finished", "Requests that ended by themselves.", stats.counts.num_finished),
            ("moonlet_requests_cancelled", "Requests that were cancelled.", stats.counts.num_cancelled),
            ("moonlet_requests_failed", "Requests that failed in the engine.", stats.counts.num_failed),
            ("moonlet_preemptions", "Times a request gave its pages to an older one.", stats.num_preempted),
        ):
            yield CounterMetricFamily(name, help_text, value=value)
        if stats.disk is not None:
            yield GaugeMetricFamily("moonlet_disk_pages", "Cache pages in kv_dir.", value=stats.disk.num_pages)
            yield GaugeMetricFamily("moonlet_disk_bytes", "Bytes of files in kv_dir.", value=stats.disk.num_bytes)
            yield CounterMetricFamily("moonlet_disk_pages_loaded", "Pages read back.", value=stats.disk.num_loaded)
            yield CounterMetricFamily(
                "moonlet_disk_files_refused", "Damaged or foreign files met.", value=stats.disk.num_refused
            )
