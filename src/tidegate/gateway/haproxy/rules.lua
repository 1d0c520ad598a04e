-- What hosts with conditions ask of a request.
--
-- Gray releases: the first rule of a host that a request matches names its tag. Rules come as one
-- word, `tag:source:name:kind:text`, several joined by `+`, every part with percent signs as in a
-- URL.
--
-- Paths: the first that a request fits names its slot and sets headers. They come as
-- `encode_paths` writes them.

local LONGEST_MATCHED = 64
local MOST_KEPT = 1000
local kept, number_kept = {}, 0

local function decode(part)
  return (part:gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end))
end

local function read(text)
  local rules = {}
  for word in text:gmatch("[^+]+") do
    local tag, source, name, kind, value = word:match("^([^:]*):([^:]*):([^:]*):([^:]*):([^:]*)$")
    rules[#rules + 1] = {
      tag = decode(tag),
      source = source,
      name = decode(name),
      kind = kind,
      text = kind == "pattern" and "^(?:" .. decode(value) .. ")$" or decode(value),
    }
  end
  return rules
end

local function known(text, reader)
  local found = kept[text]
  if found == nil then
    if number_kept >= MOST_KEPT then kept, number_kept = {}, 0 end
    found = reader(text)
    kept[text], number_kept = found, number_kept + 1
  end
  return found
end

local get = {
  header = function(txn, name) return txn.f:req_fhdr(name) end,
  cookie = function(txn, name) return txn.f:req_cook(name) end,
  query = function(txn, name)
    local value = txn.f:url_param(name)
    return value and txn.c:url_dec(value, 1)
  end,
}

local function matches(txn, rule)
  local value = get[rule.source](txn, rule.name)
  if value == nil or value == "" then return false end
  if rule.kind == "value" then return value == rule.text end
  -- What would be left of a match by a pattern is nothing, for the whole value must match.
  return #value <= LONGEST_MATCHED and txn.c:regsub(value, rule.text, "") == ""
end

core.register_action("choose", { "http-req" }, function(txn)
  for _, rule in ipairs(known(txn:get_var("txn.rules"), read)) do
    if matches(txn, rule) then
      txn:set_var("txn.rule", rule.tag)
      return
    end
  end
end)

local function read_headers(text, separator)
  local headers = {}
  for name, value in text:gmatch("([^=" .. separator .. "]+)=([^" .. separator .. "]*)") do
    headers[decode(name)] = decode(value)
  end
  return headers
end

local function read_paths(text)
  local paths = {}
  for word in text:gmatch("[^+]+") do
    local prefix, matches, host, given = word:match("^([^:]*):([^:]*):([^:]*):([^:]*)$")
    local splits = {}
    for percent, slot, headers in given:gmatch("(%d+)&([^&,]+)&?([^,]*)") do
      local split = { percent = tonumber(percent), slot = slot, headers = read_headers(headers, "&") }
      splits[#splits + 1] = split
    end
    paths[#paths + 1] = {
      prefix = decode(prefix),
      matches = read_headers(matches, ","),
      host = host,
      splits = splits,
    }
  end
  return paths
end

local function fits(txn, path, entry)
  if path:sub(1, #entry.prefix) ~= entry.prefix then return false end
  for name, value in pairs(entry.matches) do
    if txn.f:req_fhdr(name) ~= value then return false end
  end
  return true
end

local function draw(txn, splits)
  local share = txn.f:rand(100)
  for _, split in ipairs(splits) do
    share = share - split.percent
    if share < 0 then return split end
  end
end

core.register_action("dispatch", { "http-req" }, function(txn)
  local path = txn.f:path() or ""
  txn:unset_var("txn.slot")
  for _, entry in ipairs(known(txn:get_var("txn.paths"), read_paths)) do
    if fits(txn, path, entry) then
      local split = draw(txn, entry.splits)
      if entry.host ~= "" then txn.http:req_set_header("host", entry.host) end
      for name, value in pairs(split.headers) do txn.http:req_set_header(name, value) end
      if split.slot == "@" then
        txn:set_var("txn.again", "1")
      else
        txn:set_var("txn.slot", split.slot)
      end
      return
    end
  end
end)
