-- Gray releases: the first rule of a host that a request matches names its tag.
--
-- Rules come as one word, `tag:source:name:kind:text`, several joined by `+`, every part with
-- percent signs as in a URL.

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

local function rules_of(text)
  local rules = kept[text]
  if rules == nil then
    if number_kept >= MOST_KEPT then kept, number_kept = {}, 0 end
    rules = read(text)
    kept[text], number_kept = rules, number_kept + 1
  end
  return rules
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
  for _, rule in ipairs(rules_of(txn:get_var("txn.rules"))) do
    if matches(txn, rule) then
      txn:set_var("txn.rule", rule.tag)
      return
    end
  end
end)
