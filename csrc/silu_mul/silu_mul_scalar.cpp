#include "silu_mul/silu_mul_lanes.h"
