// SPDX-License-Identifier: BSD-3-Clause
//
// What a port is to the agent: something that carries one function's packets between the NIC and
// the graph. pod/ and control/ see only this header, which is free of DPDK; a backend fills struct
// port_ops. All calls are made by the control thread.
//
//      pod/ ──► struct port ──ops─┬► representor.c ──► ethdev
//                    │            ├► vhost.c ──► librte_vhost ──► socket ──► a guest's virtio device
//                    │            └► virtio_user.c ──► ethdev ──► the kernel's vhost-net ──► a netdev
//                    └──────────────► datapath/ (the graph polls it, sends to it)

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "datapath/bandwidth.h"
#include "proto/message.h"

enum port_kind {
	PORT_HOST,     // the host's own: the representor of the PF
	PORT_FUNCTION, // a VF that a pod can have
	PORT_UPLINK,   // the wire; the e-switch manager
	PORT_VHOST,    // a vhost-user socket that a pod can have; no part of the NIC
	PORT_VIRTIO,   // a netdev of the agent's own machine that a pod can have; likewise
};

// "host", "function", "uplink", "vhost-user", "virtio-user"
const char *port_kind_name(enum port_kind kind);

// How a port is to be while it is started.
struct port_config {
	struct mac
		mac; // the function's: the only source MAC a pod may use. PORT_HOST: learned if zero
	uint32_t mtu; // bytes of layer 3
	bool has_ipv4, has_ipv6;
	struct in_addr ipv4;  // the pod's, or the gateway address for PORT_HOST: routed here; for
	struct in6_addr ipv6; // a pod's also the only source addresses let in
	struct bandwidth_limit limits[BANDWIDTH_DIRECTIONS]; // of a pod; zero: unlimited
	char socket_path
		[SOCKET_PATH_SIZE]; // PORT_VHOST: to listen on; what is left there is replaced
};

struct port_state {
	bool started;
	bool link_up; // of PORT_VHOST: a guest is connected; of PORT_VIRTIO: its netdev is there
	uint32_t queue_pairs; // of PORT_VHOST and PORT_VIRTIO, that are in use now
	uint32_t mtu;
	struct mac mac;
	char name[LIMIT_ID + 1]; // the device's name, for people
};

struct port; // port_private.h, with struct port_ops, what a backend is

// Sockets of PORT_VHOST.
struct vhost_config {
	const char *folder; // theirs alone, made if it is not there; NULL: there are no such ports
	mode_t mode;        // of the sockets
	uid_t owner;        // likewise; (uid_t)-1: as the agent is
	gid_t group;
};
enum {
	// librte_vhost polls 1024 descriptors: of each port its socket and a connection, and of a guest
	// that comes again a second one for a moment.
	NIC_VHOST_PORTS_MAX = 340,
	// Each has files of its own open: 4 and, for each worker, 6.
	NIC_VIRTIO_PORTS_MAX = 128,
	VHOST_FOLDER_MAX = 80, // bytes; with a file's name it fits into a socket's address
};

// The NIC: its uplink, host port and functions, opened once at start-up; and the ports beside it.
struct nic;

struct nic_config {
	const char *
		device; // DPDK device with driver arguments, without representor=: "0000:03:00.0", "net_simnic0,card=…"
	uint32_t functions;      // VFs 0..functions-1 of PF 0 are for pods; 1..1000
	bool host_port;          // serve the PF of the host
	uint32_t packet_buffers; // mbufs
	uint32_t workers;        // number of worker lcores, for queues
	uint32_t
		vhost_ports; // PORT_VHOST 0..vhost_ports-1 are for pods; at most NIC_VHOST_PORTS_MAX
	struct vhost_config vhost;
	uint32_t virtio_ports; // PORT_VIRTIO 0..virtio_ports-1 are for pods
};

// Probe the device with its representors. EAL must be initialised. Errors: CODE_NIC with the device
// and what DPDK said; a function that the NIC does not have is an error that names the first
// missing one.
int nic_open(const struct nic_config *config, struct nic **ret_nic, struct error *err);

// All ports must be stopped. NULL is fine.
void nic_close(struct nic *nic);

const char *nic_driver_name(const struct nic *nic); // "net_simnic", "mlx5_pci"
uint32_t nic_function_count(const struct nic *nic);
uint32_t nic_vhost_count(const struct nic *nic);
uint32_t nic_virtio_count(const struct nic *nic);

// Can a PORT_VIRTIO be started on this machine now? The kernel may load its module to say so. Errors:
// CODE_UNSUPPORTED, with /dev/vhost-net and what to do.
int virtio_user_probe(struct error *err);
// The same by the file alone, which changes nothing: for who only wants to know.
int virtio_user_look(struct error *err);

// The device is no longer on its bus: pulled out, reset under its driver, or the driver unloaded. Its ports
// carry nothing any more, also when a device is there again: only another nic_open finds that. May ask the hardware: not for
// every packet.
bool nic_is_gone(const struct nic *nic);

// The port, stopped or started; NULL if the NIC has none such. index: the VF for PORT_FUNCTION, the
// number of PORT_VHOST or PORT_VIRTIO, else 0. Owned by nic.
struct port *nic_port(struct nic *nic, enum port_kind kind, uint32_t index);

// Call `hook` whenever the uplink is configured and not yet started: the moment at which a NIC
// takes the resources for asynchronous rules (rte_flow_configure). Whatever it does, the start goes
// on. NULL: none.
void nic_set_uplink_hook(struct nic *nic, void (*hook)(void *argument), void *argument);

// Start. On success packets flow. Errors: CODE_NIC; -EALREADY if it is started.
int port_start(struct port *port, const struct port_config *config, struct error *err);
// Stop; when it returns nobody sends to or receives from the port. A stopped port: no effect.
void port_stop(struct port *port);

// A started port whose device has ended by itself (a PORT_VIRTIO whose netdev went with the sandbox it was in): to
// be stopped and started again.
bool port_is_lost(const struct port *port);

enum port_kind port_kind_of(const struct port *port);
// The number that datapath counters are kept under: dense, 0..DATAPATH_PORTS_MAX-1, stable while
// the agent runs.
uint32_t port_slot(const struct port *port);
void port_read_state(const struct port *port, struct port_state *ret_state);
