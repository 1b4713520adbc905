// SPDX-License-Identifier: BSD-3-Clause

#include "sim/simnic/eswitch.h"

struct verdict eswitch(const struct frame *frame)
{
	return (struct verdict){
		.kind = frame->from_port ? TO_FUNCTION : TO_PORT,
		.target = frame->origin,
	};
}
