#include "linear_float/linear_float_lanes.h"
