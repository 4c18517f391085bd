-- wrk's summary as one JSON object: what the bench reads.
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"rate":%.1f,"n":%d,"lost":%d,"p50_us":%.0f,"p99_us":%.0f,"p999_us":%.0f,"secs":%.4f}\n',
    summary.requests / (summary.duration / 1e6), summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), summary.duration / 1e6))
end
