#include "mla/mla_lanes.h"
