// SPDX-License-Identifier: BSD-3-Clause
//
// net_simnic on DPDK's virtual bus: device arguments, the uplink port and the representors.
//
//     --vdev net_simnic0,card=/run/simnic.sock,representor=vf[0-63,65535]     functions lent by simnic-card
//     --vdev net_simnic0,vfs=4,representor=vf[0-3]                            functions that live with this process
//
// With a card of its own, name=, pf= and wire= name the netdevs (card.h). async=0: a card whose firmware has rte_flow's
// synchronous API alone.
//
// As mlx5 has it, the probed port is the uplink, and vf65535 the representor of the host's PF.

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <rte_kvargs.h>
#include <rte_string_fns.h>

#include "sim/simnic/compat.h"
#include "sim/simnic/simnic.h"

static const char *const known_arguments[] = {"card",  "vfs",   "name",        "pf", "wire",
					      "async", "uring", "representor", NULL};

static int copy_name(const char *key, const char *value, void *name)
{
	if (value == NULL || value[0] == '\0' || strlcpy(name, value, IF_NAMESIZE) >= IF_NAMESIZE) {
		SIMNIC_LOG(ERR, "%s=%s is not an interface name", key, value != NULL ? value : "");
		return -EINVAL;
	}
	return 0;
}

static int copy_number(const char *key, const char *value, void *number)
{
	char *end = NULL;
	unsigned long result = value != NULL ? strtoul(value, &end, 10) : 0;

	if (end == NULL || end == value || *end != '\0' || result > CARD_VFS_MAX) {
		SIMNIC_LOG(ERR, "%s=%s is not a number from 0 to %u", key,
			   value != NULL ? value : "", CARD_VFS_MAX);
		return -EINVAL;
	}
	*(uint16_t *)number = result;
	return 0;
}

static int copy_switch(const char *key, const char *value, void *on)
{
	if (value == NULL || (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)) {
		SIMNIC_LOG(ERR, "%s=%s is neither 0 nor 1", key, value != NULL ? value : "");
		return -EINVAL;
	}
	*(bool *)on = value[0] == '1';
	return 0;
}

static int copy_pointer(const char *key, const char *value, void *pointer)
{
	*(const char **)pointer = value;
	return value != NULL && value[0] != '\0' ? 0 : -EINVAL;
}

static int parse_config(const struct rte_kvargs *arguments, struct device_config *config)
{
	bool own = rte_kvargs_count(arguments, "vfs") > 0;

	if (own == (rte_kvargs_count(arguments, "card") > 0)) {
		SIMNIC_LOG(ERR, "one of card=PATH and vfs=NUMBER is needed, and only one");
		return -EINVAL;
	}
	strlcpy(config->card.name, "simnic0", sizeof(config->card.name));
	if (rte_kvargs_process(arguments, "card", copy_pointer, &config->card_path) < 0 ||
	    rte_kvargs_process(arguments, "vfs", copy_number, &config->card.vfs) < 0 ||
	    rte_kvargs_process(arguments, "name", copy_name, config->card.name) < 0 ||
	    rte_kvargs_process(arguments, "pf", copy_name, config->card.pf) < 0 ||
	    rte_kvargs_process(arguments, "wire", copy_name, config->card.wire) < 0 ||
	    rte_kvargs_process(arguments, "async", copy_switch, &config->async) < 0 ||
	    rte_kvargs_process(arguments, "uring", copy_switch, &config->uring) < 0)
		return -EINVAL;
	card_config_defaults(&config->card);
	return 0;
}

static int check_representors(struct device *device, const struct rte_eth_devargs *wanted)
{
	if (wanted->type == RTE_ETH_REPRESENTOR_NONE)
		return 0;
	if (wanted->type != RTE_ETH_REPRESENTOR_VF || wanted->nb_mh_controllers > 1 ||
	    (wanted->nb_mh_controllers == 1 && wanted->mh_controllers[0] != 0) ||
	    wanted->nb_ports > 1 || (wanted->nb_ports == 1 && wanted->ports[0] != 0)) {
		SIMNIC_LOG(ERR,
			   "%s: only representors of VFs of PF 0 exist: representor=vf[0-%d,%u]",
			   device->name, device->vfs - 1, SIMNIC_VF_PF);
		return -EINVAL;
	}
	for (uint16_t i = 0; i < wanted->nb_representor_ports; i++) {
		if (device_vf(device, wanted->representor_ports[i]) == NULL) {
			SIMNIC_LOG(ERR, "%s: representor=vf%u: the card has %u VFs", device->name,
				   wanted->representor_ports[i], device->vfs);
			return -ENODEV;
		}
	}
	return 0;
}

static void close_ports(struct rte_device *rte_device)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV_OF(port, rte_device)
	{
		if (rte_eth_devices[port].data->dev_started)
			(void)rte_eth_dev_stop(port);
		(void)rte_eth_dev_close(port); // the last one takes the device with it
	}
}

static int create_port(struct device *device, struct function *function, const char *name)
{
	int error = rte_eth_dev_create(device->rte_device, name, sizeof(struct function *), NULL,
				       NULL, simnic_port_init, function);

	if (error < 0)
		SIMNIC_LOG(ERR, "%s: cannot create the port: %s", name, strerror(-error));
	return error;
}

static int create_ports(struct device *device, const struct rte_eth_devargs *wanted)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	int error = create_port(device, &device->functions[CARD_INDEX_WIRE], device->name);

	for (uint16_t i = 0; error == 0 && i < wanted->nb_representor_ports; i++) {
		uint16_t number = wanted->representor_ports[i];

		snprintf(name, sizeof(name), "%.40s_representor_vf%u", device->name, number);
		error = create_port(device, device_vf(device, number), name);
	}
	return error;
}

static int simnic_probe(struct rte_vdev_device *vdev)
{
	const char *text = rte_vdev_device_args(vdev);
	struct rte_eth_devargs wanted = {0};
	struct device_config config = {.async = true, .uring = true};
	struct rte_kvargs *arguments;
	struct device *device;
	char why[CARD_TEXT_SIZE];
	int error;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		SIMNIC_LOG(ERR, "secondary processes are not supported");
		return -ENOTSUP;
	}
	arguments = rte_kvargs_parse(text != NULL ? text : "", known_arguments);
	if (arguments == NULL) {
		SIMNIC_LOG(ERR,
			   "%s: device arguments are card=, vfs=, name=, pf=, wire=, async=, "
			   "uring=, representor=; "
			   "not '%s'",
			   rte_vdev_device_name(vdev), text);
		return -EINVAL;
	}
	error = parse_config(arguments, &config);
	if (error == 0 && representors_parse(text, &wanted) != 0)
		error = -EINVAL;
	if (error < 0)
		goto out;
	error = device_new(&vdev->device, &config, &device, why, sizeof(why));
	if (error < 0) {
		SIMNIC_LOG(ERR, "%s: %s", rte_vdev_device_name(vdev), why);
		goto out;
	}
	device->ports++; // holds the device until all ports are there
	error = check_representors(device, &wanted);
	if (error == 0)
		error = create_ports(device, &wanted);
	if (error < 0)
		close_ports(&vdev->device);
	if (--device->ports == 0)
		device_free(device);
out:
	rte_kvargs_free(arguments);
	// The bus takes this one for "probed already" and reports success.
	return error == -EEXIST ? -EBUSY : error;
}

static int simnic_remove(struct rte_vdev_device *vdev)
{
	close_ports(&vdev->device);
	return 0;
}

static struct rte_vdev_driver simnic_driver = {
	.probe = simnic_probe,
	.remove = simnic_remove,
};

RTE_PMD_REGISTER_VDEV(net_simnic, simnic_driver);
RTE_PMD_REGISTER_PARAM_STRING(net_simnic, "card=<path> "
					  "vfs=<int> "
					  "name=<string> "
					  "pf=<string> "
					  "wire=<string> "
					  "async=<0|1> "
					  "uring=<0|1> "
					  "representor=<list>");
