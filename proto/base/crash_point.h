// SPDX-License-Identifier: BSD-3-Clause
//
// Moments at which tests let a daemon die. Only in builds with PODPORT_TEST_HOOKS; in all others a point is
// nothing, not even its name is left (tests/shipped looks).
//
// A test names a folder in the environment, PODPORT_CRASH_POINTS, and arms a point by a file there that is called as
// the point is:
//
//     kill N     the Nth passing ends the process by SIGKILL
//     stop N     the Nth passing stays there, until the test removes NAME.reached
//
// In both cases the file is renamed NAME.reached at that passing, so that only one stops and the test sees it.

#pragma once

#ifdef PODPORT_TEST_HOOKS
// Pass the point. Any thread.
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif
