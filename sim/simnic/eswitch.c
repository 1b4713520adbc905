// SPDX-License-Identifier: BSD-3-Clause
//
// The e-switch. Rules will be looked up here; until there are any, every frame takes the default
// way.

#include "sim/simnic/eswitch.h"

struct verdict eswitch(const struct frame *frame)
{
	return (struct verdict){
		.kind = frame->from_port ? TO_FUNCTION : TO_PORT,
		.target = frame->origin,
	};
}
