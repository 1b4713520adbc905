// SPDX-License-Identifier: BSD-3-Clause

package cni

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"sort"
	"strings"
	"syscall"

	"github.com/containernetworking/cni/pkg/types"
)

// Namespace is a sandbox and what the runtime says of it.
type Namespace struct {
	id, path     string
	capabilities map[string]interface{}
	args         map[string]string
}

// NamespaceOpts says more of a sandbox, for Setup, Remove and Check.
type NamespaceOpts func(s *Namespace) error

// PortMapping is a port of the host that leads to one of the pod.
type PortMapping struct {
	HostPort      int32
	ContainerPort int32
	Protocol      string
	HostIP        string
}

// IPRanges is a range of addresses.
type IPRanges struct {
	Subnet     string
	RangeStart string
	RangeEnd   string
	Gateway    string
}

// BandWidth limits a pod: bits per second, and bits.
type BandWidth struct {
	IngressRate  uint64
	IngressBurst uint64
	EgressRate   uint64
	EgressBurst  uint64
}

// DNS is what the pod's resolver is told. It comes back in the result.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string
}

// WithCapability states a wish by its name in CNI: "ips", "mac", "dns", "portMappings" and
// "bandwidth" are served, those in
// refusedCapabilities are refused unless they wish for nothing, others do not concern podport.
func WithCapability(name string, capability interface{}) NamespaceOpts {
	return func(ns *Namespace) error {
		ns.capabilities[name] = capability
		return nil
	}
}

// WithCapabilityPortMap has ports of the host lead to the pod. Mappings without a host port map nothing.
func WithCapabilityPortMap(portMapping []PortMapping) NamespaceOpts {
	return WithCapability("portMappings", portMapping)
}

// WithCapabilityIPRanges is refused by Setup unless empty: addresses are the agent's.
func WithCapabilityIPRanges(ipRanges []IPRanges) NamespaceOpts {
	return WithCapability("ipRanges", ipRanges)
}

// WithCapabilityBandWidth limits what the pod receives and sends. A burst without a rate limits nothing.
func WithCapabilityBandWidth(bandWidth BandWidth) NamespaceOpts {
	return WithCapability("bandwidth", bandWidth)
}

// WithCapabilityDNS passes DNS on to the result.
func WithCapabilityDNS(dns DNS) NamespaceOpts {
	return WithCapability("dns", dns)
}

// WithCapabilityCgroupPath is of no effect: no cgroup is touched.
func WithCapabilityCgroupPath(cgroupPath string) NamespaceOpts {
	return WithCapability("cgroupPath", cgroupPath)
}

// WithArgs sets a CNI argument: K8S_POD_NAMESPACE and K8S_POD_NAME say who the pod is, IP, MAC and
// PORT_KIND ("function", "vhost-user", "virtio-user") what it should have; others do not concern podport.
func WithArgs(k, v string) NamespaceOpts {
	return WithLabels(map[string]string{k: v})
}

// WithLabels is WithArgs for several.
func WithLabels(labels map[string]string) NamespaceOpts {
	return func(ns *Namespace) error {
		for key, value := range labels {
			ns.args[key] = value
		}
		return nil
	}
}

func newNamespace(id, path string, opts []NamespaceOpts) (*Namespace, error) {
	ns := &Namespace{id: id, path: path,
		capabilities: make(map[string]interface{}), args: make(map[string]string)}
	for _, opt := range opts {
		if err := opt(ns); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// What to say to a wish that would be swallowed otherwise.
var refusedCapabilities = map[string]string{
	"ipRanges":       "podport's addresses come from the agent's pod network",
	"aliases":        "podport has no name service",
	"deviceID":       "the agent chooses the pod's function of the NIC",
	"infinibandGUID": "podport's NIC is no InfiniBand adapter",
}

// wishes is what is asked of an attachment, checked.
type wishes struct {
	ipv4, ipv6 net.IP // 4 and 16 bytes; nil: any
	mac        net.HardwareAddr
	dns        types.DNS
	bandwidth  BandWidth     // rate 0: unlimited, and no burst then
	mappings   []PortMapping // with a host port
}

func invalid(format string, args ...interface{}) error {
	return &Error{Code: codeBadRequest, Name: codeName(codeBadRequest),
		Message: fmt.Sprintf(format, args...), kind: ErrInvalidConfig}
}

func (ns *Namespace) wishes() (*wishes, error) {
	names := make([]string, 0, len(ns.capabilities))
	for name := range ns.capabilities {
		names = append(names, name)
	}
	sort.Strings(names) // the same mistake gets the same answer

	wishes := &wishes{}
	var ips []string
	var mac string
	var dns DNS
	for _, name := range names {
		text, err := json.Marshal(ns.capabilities[name])
		if err != nil {
			return nil, invalid("capability %s: %v", name, err)
		}
		switch name {
		case "ips":
			err = json.Unmarshal(text, &ips)
		case "mac":
			err = json.Unmarshal(text, &mac)
		case "dns":
			err = json.Unmarshal(text, &dns) // keys are found whatever their case
		case "bandwidth":
			err = wishes.setBandwidth(text)
		case "portMappings":
			err = wishes.setMappings(text)
		default:
			if why, refused := refusedCapabilities[name]; refused && !isNothing(text) {
				return nil, invalid("capability %s: %s (asked for: %s)", name, why, shorten(string(text)))
			}
		}
		if err != nil {
			return nil, invalid("capability %s: %v", name, err)
		}
	}
	wishes.dns = types.DNS{Nameservers: dns.Servers, Search: dns.Searches, Options: dns.Options}

	// As for the plugin: capabilities replace arguments.
	source := "capability ips"
	if ip := ns.args["IP"]; len(ips) == 0 && ip != "" {
		source, ips = "argument IP", strings.Split(ip, ",")
	}
	for _, ip := range ips {
		if err := wishes.addIP(source, ip); err != nil {
			return nil, err
		}
	}
	source = "capability mac"
	if mac == "" {
		source, mac = "argument MAC", ns.args["MAC"]
	}
	return wishes, wishes.setMAC(source, mac)
}

func (w *wishes) setBandwidth(text []byte) error {
	if err := json.Unmarshal(text, &w.bandwidth); err != nil {
		return err
	}
	if w.bandwidth.IngressRate == 0 {
		w.bandwidth.IngressBurst = 0
	}
	if w.bandwidth.EgressRate == 0 {
		w.bandwidth.EgressBurst = 0
	}
	return nil
}

func (w *wishes) setMappings(text []byte) error {
	var all []PortMapping
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for i, mapping := range all {
		if mapping.HostPort == 0 {
			continue
		}
		if _, err := mapping.hostAddress(); err != nil {
			return fmt.Errorf("%d: %v", i, err)
		}
		if _, err := mapping.protocolNumber(); err != nil {
			return fmt.Errorf("%d: %v", i, err)
		}
		for _, port := range []int32{mapping.HostPort, mapping.ContainerPort} {
			if port < 1 || port > 65535 {
				return fmt.Errorf("%d: %d is no port", i, port)
			}
		}
		w.mappings = append(w.mappings, mapping)
	}
	return nil
}

// hostAddress: 4 or 16 bytes; nil: each of the host's.
func (m *PortMapping) hostAddress() (net.IP, error) {
	if m.HostIP == "" {
		return nil, nil
	}
	ip := net.ParseIP(m.HostIP)
	if ip == nil {
		return nil, fmt.Errorf("HostIP %q is no IPv4 or IPv6 address", m.HostIP)
	}
	if ip4 := ip.To4(); ip4 != nil {
		return ip4, nil
	}
	return ip, nil
}

func (m *PortMapping) protocolNumber() (uint8, error) {
	switch strings.ToLower(m.Protocol) {
	case "", "tcp":
		return syscall.IPPROTO_TCP, nil
	case "udp":
		return syscall.IPPROTO_UDP, nil
	}
	return 0, fmt.Errorf("protocol %q: podport maps ports of tcp and udp", m.Protocol)
}

func (w *wishes) addIP(source, text string) error {
	ip := net.ParseIP(text)
	if ip == nil {
		ip, _, _ = net.ParseCIDR(text) // the length is checked and forgotten: a pod's is /32 or /128
	}
	if ip == nil {
		return invalid("%s: %q is no IPv4 or IPv6 address", source, text)
	}
	field, family := &w.ipv6, 6
	if ip4 := ip.To4(); ip4 != nil {
		ip, field, family = ip4, &w.ipv4, 4
	}
	if *field != nil {
		return invalid("%s: %q is a second IPv%d address; a pod has one of each family", source, text, family)
	}
	*field = ip
	return nil
}

func (w *wishes) setMAC(source, text string) error {
	if text == "" {
		return nil
	}
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return invalid("%s: %q is no MAC address (c2:11:22:33:44:55)", source, text)
	}
	w.mac = mac
	return nil
}

// isNothing: a value of JSON that wishes for nothing: null, zero, "", or made up of such.
func isNothing(text json.RawMessage) bool {
	text = bytes.TrimSpace(text)
	var list []json.RawMessage
	var object map[string]json.RawMessage
	switch {
	case json.Unmarshal(text, &list) == nil:
		return len(list) == 0
	case json.Unmarshal(text, &object) == nil:
		for _, value := range object {
			if !isNothing(value) {
				return false
			}
		}
		return true
	}
	switch string(text) {
	case "0", `""`, "false":
		return true
	}
	return false
}

func shorten(text string) string {
	const limit = 200
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "..."
	}
	return text
}
