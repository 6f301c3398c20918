#include "formats/format_table_lanes.h"
