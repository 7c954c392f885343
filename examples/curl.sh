#!/usr/bin/env bash
# A measurement over HTTP with curl alone: `examples/curl.sh [MODEL.onnx]`, results into the working folder.
# ERFSCOPE_URL says where the service is, ERFSCOPE_API_KEY is sent where it is set. Without a model a small spec is measured.
set -euo pipefail

url=${ERFSCOPE_URL:-http://localhost:8000}
key=${ERFSCOPE_API_KEY:+Authorization: Bearer $ERFSCOPE_API_KEY}

call() { # curl that fails with the service's own words
  curl -sS --fail-with-body ${key:+-H "$key"} "$@"
}

field() { # one field of the JSON on stdin: field status, field links.self
  python3 -c 'import functools, json, sys; print(functools.reduce(lambda part, name: part[name], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"
}

if [ $# -gt 0 ]; then
  # torch writes large weights beside the model
  data=()
  if [ -e "$1.data" ]; then data=(-F "data=@$1.data"); fi
  job=$(call "$url/erf" -F "model=@$1" "${data[@]}" -F 'request={"average": {"inputs": 8}}' | field links.self)
else
  job=$(call "$url/erf" -H 'Content-Type: application/json' -d '{
    "model": {"architecture": {
      "name": "plain-5", "input": {"channels": 3, "size": [32, 32]}, "init": "kaiming_normal",
      "layers": [{"type": "repeat", "times": 5, "layers": [
        {"type": "conv", "out_channels": 8, "kernel_size": 3, "padding": "same"}, {"type": "relu"}]}]}},
    "average": {"inputs": 8}}' | field links.self)
fi

# A request is held until the job has ended, 60 seconds at most; then ask again.
status=queued
while [ "$status" = queued ] || [ "$status" = running ]; do
  call -H 'Prefer: wait=60' "$url$job" -o job.json
  status=$(field status < job.json)
done
if [ "$status" != succeeded ]; then
  echo "the job has $status: $(field error.detail < job.json)" >&2
  exit 1
fi

call "$url$job/heatmap.png" -o heatmap.png
call "$url$job/map.npy" -o map.npy
call "$url$job/metrics.csv" -o metrics.csv
call "$url$job/report.md" -o report.md
echo "ERF $(field result.erf.size < job.json) px of TRF $(field result.trf.size < job.json) px; see heatmap.png, map.npy, metrics.csv, report.md"
