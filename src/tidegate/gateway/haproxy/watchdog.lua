-- The watchdog of a gateway that shares pods with others: unless the agent says in time that they
-- are still ours, pods of limited revisions get nothing more from here, and a while later what is
-- left of it is cut.

local TICK_MS = 500
local stops, cuts
local has_stopped = false

local function each_server(pattern, act)
  for name, proxy in pairs(core.proxies) do
    if name:match(pattern) then
      for server_name, server in pairs(proxy.servers) do
        if server_name ~= "park" then act(server) end
      end
    end
  end
end

local function watch()
  while true do
    core.msleep(TICK_MS)
    local now = core.now().sec
    if stops ~= nil and now >= stops and not has_stopped then
      has_stopped = true
      core.log(core.warning, "no word from the agent: pods that others share get no more requests")
      each_server("^l%d+$", function(server) server:set_maint() end)
    end
    if has_stopped and now >= cuts then
      each_server("^l%d+$", function(server) server:shut_sess() end)
      each_server("^p%d+$", function(server) server:shut_sess() end)
      stops, cuts, has_stopped = nil, nil, false
    end
  end
end

core.register_task(watch)

core.register_cli({ "keep", "places" }, "keep places off|<seconds> <seconds>: how long pods get requests, and how long these may take then", function(applet, _, _, seconds, more)
  has_stopped = false
  if seconds == "off" then
    stops, cuts = nil, nil
  else
    stops = core.now().sec + tonumber(seconds)
    cuts = stops + tonumber(more)
  end
  applet:send("")
end)
