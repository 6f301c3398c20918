#include "draw/draw_lanes.h"
