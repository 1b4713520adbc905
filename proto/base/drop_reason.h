// SPDX-License-Identifier: BSD-3-Clause
//
// Why the agent drops a packet, in words for people; the names are dpu-agent/datapath's (datapath_drop_reason_name).

#pragma once

// "the address is of the pod network, and no pod has it". "": not known here, as one of a newer agent.
const char *drop_reason_text(const char *reason);
