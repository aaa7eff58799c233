-- For wrk: one track message, or a batch of them, in each request. KEY, BATCH (1), CONTACTS (20000) from the environment.
local key, batch = os.getenv("KEY"), tonumber(os.getenv("BATCH") or "1")
local contacts = tonumber(os.getenv("CONTACTS") or "20000")
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  math.randomseed(os.time() * 1000 + number)
  sent = 0
  run = string.format("%d-%d", os.time(), number)
  headers = { ["Authorization"] = "Bearer " .. key, ["Content-Type"] = "application/json" }
end

local function message()
  sent = sent + 1
  local product = math.random(5000)
  return string.format(
    '{"type":"track","userId":"c%07d","event":"Product Viewed","messageId":"%s-%d","properties":{"product_id":"p%06d",'
      .. '"name":"Product %d","price":19.9,"url":"https://shop.example/p/%d","category":"/Shop/Things"}}',
    math.random(contacts), run, sent, product, product, product)
end

function request()
  if batch == 1 then
    return wrk.format("POST", "/v1/track", headers, message())
  end
  local all = {}
  for i = 1, batch do
    all[i] = message()
  end
  return wrk.format("POST", "/v1/batch", headers, '{"batch":[' .. table.concat(all, ",") .. "]}")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"bench":"ingest_wrk","batch":%d,"seconds":%.3f,"requests_per_second":%.0f,"messages_per_second":%.0f,'
      .. '"p50_ms":%.2f,"p99_ms":%.2f,"refused":%d}\n',
    batch, summary.duration / 1e6, summary.requests / summary.duration * 1e6,
    summary.requests * batch / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
