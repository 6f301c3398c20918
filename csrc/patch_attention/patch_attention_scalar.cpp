#include "patch_attention/patch_attention_lanes.h"
