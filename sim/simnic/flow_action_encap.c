// SPDX-License-Identifier: BSD-3-Clause
//
// Compiling the actions that put headers in front of frames, and take them away. From then on the rule's layers are other
// ones.

#include <errno.h>
#include <stdlib.h>

#include "sim/simnic/flow_action_private.h"

enum { VLAN_VID_MASK = 0x0fff, VLAN_PCP_SHIFT = 13, VLAN_PCP_MAX = 7 };

static int refuse_conf(struct action_compiler *compiler, int code,
		       const struct rte_flow_action *action, const char *why)
{
	return refuse_action(compiler, code, RTE_FLOW_ERROR_TYPE_ACTION_CONF, action, why);
}

// ---- VLAN -----------------------------------------------------------------------------------------------

int compile_push_vlan(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_of_push_vlan *push = action->conf;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (!compiler->unknown && push->ethertype != RTE_BE16(RTE_ETHER_TYPE_VLAN) &&
	    push->ethertype != RTE_BE16(RTE_ETHER_TYPE_QINQ))
		return refuse_conf(compiler, EINVAL, action, "a tag has type 0x8100 or 0x88a8");
	// The parser reads two tags: behind a third it would see nothing.
	if ((compiler->layers & FLOW_HAS_VLAN2) && !compiler->any_layer)
		compiler->layers &= FLOW_HAS_ETH | FLOW_HAS_VLAN | FLOW_HAS_VLAN2;
	else if (compiler->layers & FLOW_HAS_VLAN)
		compiler->layers |= FLOW_HAS_VLAN2;
	compiler->layers |= FLOW_HAS_VLAN;
	return add_op(compiler, action, FLOW_PUSH_VLAN, push, sizeof(*push));
}

int compile_pop_vlan(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (require_layer(compiler, action, FLOW_HAS_VLAN) < 0)
		return -rte_errno;
	if (!(compiler->layers & FLOW_HAS_VLAN2))
		compiler->layers &= ~FLOW_HAS_VLAN;
	compiler->layers &= ~FLOW_HAS_VLAN2;
	return add_op(compiler, action, FLOW_POP_VLAN, NULL, 0);
}

int compile_set_vlan(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	bool vid = action->type == RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID;
	const struct rte_flow_action_of_set_vlan_vid *set_vid = action->conf;
	const struct rte_flow_action_of_set_vlan_pcp *set_pcp = action->conf;
	uint32_t value;

	if (require_layer(compiler, action, FLOW_HAS_VLAN) < 0 || need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		value = 0;
	else
		value = vid ? rte_be_to_cpu_16(set_vid->vlan_vid) : set_pcp->vlan_pcp;
	if (value > (vid ? VLAN_VID_MASK : VLAN_PCP_MAX))
		return refuse_conf(compiler, EINVAL, action, "a VLAN ID has 12 bits, a priority 3");
	return vid ? add_register(compiler, action, FLOW_SET_VLAN, 0, value, VLAN_VID_MASK)
		   : add_register(compiler, action, FLOW_SET_VLAN, 0, value << VLAN_PCP_SHIFT,
				  VLAN_PCP_MAX << VLAN_PCP_SHIFT);
}

// ---- tunnels --------------------------------------------------------------------------------------------

// Takes the definition over. NULL: it is a rule's of a template.
static int add_encap(struct action_compiler *compiler, const struct rte_flow_action *action,
		     struct flow_encap *encap)
{
	if (add_op(compiler, action, FLOW_ENCAP, &encap, sizeof(encap)) < 0) {
		free(encap);
		return -rte_errno;
	}
	compiler->cut_l2 = false;
	compiler->layers = encap != NULL ? encap->layers : UINT16_MAX;
	return 0;
}

int compile_vxlan_encap(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_vxlan_encap *conf = action->conf;
	struct flow_encap *encap = NULL;
	int error;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return add_encap(compiler, action, NULL);
	if (conf->definition == NULL)
		return refuse_conf(compiler, EINVAL, action, "no definition");
	error = flow_encap_vxlan(conf->definition, &encap);
	if (error == -ENOMEM)
		return refuse_out_of_memory(compiler);
	if (error < 0)
		return refuse_conf(compiler, EINVAL, action,
				   "a definition is ETH, perhaps VLAN, IPV4 or IPV6, UDP, VXLAN");
	return add_encap(compiler, action, encap);
}

int compile_raw_encap(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_raw_encap *conf = action->conf;
	struct flow_encap *encap;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return add_encap(compiler, action, NULL);
	if (conf->data == NULL || conf->size < RTE_ETHER_HDR_LEN)
		return refuse_conf(compiler, EINVAL, action, "no Ethernet header");
	if (conf->size > FLOW_ENCAP_MAX)
		return refuse_conf(compiler, ENOTSUP, action, "at most 256 bytes");
	for (size_t i = 0; conf->preserve != NULL && i < conf->size; i++)
		if (conf->preserve[i] != 0)
			return refuse_conf(compiler, ENOTSUP, action, "nothing is preserved");
	encap = flow_encap_raw(conf->data, conf->size);
	return encap != NULL ? add_encap(compiler, action, encap) : refuse_out_of_memory(compiler);
}

static int add_decap(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (!compiler->in_tunnel)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "the pattern does not ask for this tunnel");
	compiler->in_tunnel = false;
	compiler->layers = compiler->inner_layers;
	return add_op(compiler, action, FLOW_DECAP_TUNNEL, NULL, 0);
}

int compile_vxlan_decap(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	if (!compiler->in_vxlan)
		return refuse_action(compiler, EINVAL, RTE_FLOW_ERROR_TYPE_ACTION, action,
				     "the pattern does not ask for VXLAN");
	compiler->in_vxlan = false;
	return add_decap(compiler, action);
}

// Either a tunnel up to the frame inside, or the Ethernet header of a frame that gets another one.
int compile_raw_decap(struct action_compiler *compiler, const struct rte_flow_action *action)
{
	const struct rte_flow_action_raw_decap *conf = action->conf;
	struct flow_encap *header;
	uint32_t size;
	bool tunnel, l2;

	if (need_conf(compiler, action) < 0)
		return -rte_errno;
	if (compiler->unknown)
		return refuse_conf(compiler, ENOTSUP, action, "what is removed is the template's");
	if (conf->data == NULL || conf->size < RTE_ETHER_HDR_LEN || conf->size > FLOW_ENCAP_MAX)
		return refuse_conf(compiler, EINVAL, action, "no header of 14 to 256 bytes");
	header = flow_encap_raw(conf->data, conf->size);
	if (header == NULL)
		return refuse_out_of_memory(compiler);
	tunnel = flow_encap_is_tunnel(header);
	l2 = header->l3 == 0 && conf->size <= RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN;
	size = conf->size;
	free(header);
	if (tunnel)
		return add_decap(compiler, action);
	if (!l2)
		return refuse_conf(compiler, ENOTSUP, action,
				   "only an Ethernet header, VXLAN and GENEVE can be removed");
	if (add_op(compiler, action, FLOW_CUT, &size, sizeof(size)) < 0)
		return -rte_errno;
	compiler->layers = 0;
	compiler->cut_l2 = true;
	return 0;
}
