// SPDX-License-Identifier: BSD-3-Clause

package cni

import (
	"net"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// The CNI version of raw results: that of package types100.
const resultVersion = "1.0.0"

// IPConfig is an address of an interface, and the gateway to be used with it.
type IPConfig struct {
	IP      net.IP
	Gateway net.IP
}

// Config is an interface in the sandbox.
type Config struct {
	IPConfigs  []*IPConfig
	Mac        string
	Sandbox    string // path of the network namespace
	PciID      string // not told by podport
	SocketPath string // of a vhost-user port, else empty
}

// Result is what Setup attached: interfaces by name, DNS once per network, all routes.
type Result struct {
	Interfaces map[string]*Config
	DNS        []types.DNS
	Routes     []*types.Route
	raw        []*types100.Result
}

// CNIResult is the former name of Result.
type CNIResult = Result

// Raw is the same as CNI results, one per network. A Result that was marshalled has lost it.
func (r *Result) Raw() []*types100.Result {
	return r.raw
}

func newResult(raw []*types100.Result) *Result {
	result := &Result{Interfaces: make(map[string]*Config), raw: raw}
	for _, network := range raw {
		for _, entry := range network.Interfaces {
			result.Interfaces[entry.Name] = &Config{Mac: entry.Mac, Sandbox: entry.Sandbox}
		}
		for _, ip := range network.IPs {
			entry := result.Interfaces[network.Interfaces[*ip.Interface].Name]
			entry.IPConfigs = append(entry.IPConfigs, &IPConfig{IP: ip.Address.IP, Gateway: ip.Gateway})
		}
		result.DNS = append(result.DNS, network.DNS)
		result.Routes = append(result.Routes, network.Routes...)
	}
	return result
}

// An attachment, free of C's memory.
type attachment struct {
	ifname string
	mac    net.HardwareAddr
	socket string // empty: none
	ips    []IPConfig
}

func (a *attachment) result(netns string, dns types.DNS) *types100.Result {
	result := &types100.Result{
		CNIVersion: resultVersion,
		Interfaces: []*types100.Interface{{Name: a.ifname, Mac: a.mac.String(), Sandbox: netns}},
		DNS:        dns,
	}
	for _, ip := range a.ips {
		bits := 8 * len(ip.IP)
		result.IPs = append(result.IPs, &types100.IPConfig{
			Interface: types100.Int(0),
			Address:   net.IPNet{IP: ip.IP, Mask: net.CIDRMask(bits, bits)},
			Gateway:   ip.Gateway,
		})
		result.Routes = append(result.Routes, &types.Route{
			Dst: net.IPNet{IP: make(net.IP, len(ip.IP)), Mask: net.CIDRMask(0, bits)},
			GW:  ip.Gateway,
		})
	}
	return result
}
