#include "rms_norm/rms_norm_lanes.h"
