#include "router/router_lanes.h"
