// SPDX-License-Identifier: BSD-3-Clause

package cni

/*
#include <stdlib.h>
#include "loopback.h"
*/
import "C"

import (
	"net"
	"strings"
	"syscall"
	"unsafe"

	types100 "github.com/containernetworking/cni/pkg/types/100"
)

const loopbackName = "lo"

func lookAtLoopback(path string, bringUp bool) (*C.struct_loopback, error) {
	if strings.IndexByte(path, 0) >= 0 {
		return nil, invalid("path: %q has a NUL", path)
	}
	netns := C.CString(path)
	defer C.free(unsafe.Pointer(netns))
	var loopback C.struct_loopback
	var step *C.char
	if r := C.loopback_look(netns, C.bool(bringUp), &loopback, &step); r < 0 {
		return nil, newError(codeNetns, "the loopback interface of %s: %s: %v", path, C.GoString(step),
			syscall.Errno(-r))
	}
	return &loopback, nil
}

// setUpLoopback brings the interface up; what comes back is what CNI's loopback plugin tells of it.
func setUpLoopback(path string) (*types100.Result, error) {
	loopback, err := lookAtLoopback(path, true)
	if err != nil {
		return nil, err
	}
	result := &types100.Result{
		CNIVersion: resultVersion,
		Interfaces: []*types100.Interface{{Name: loopbackName, Mac: "00:00:00:00:00:00", Sandbox: path}},
	}
	address := func(ip net.IP, ones, bits int) {
		result.IPs = append(result.IPs, &types100.IPConfig{Interface: types100.Int(0),
			Address: net.IPNet{IP: ip, Mask: net.CIDRMask(ones, bits)}})
	}
	if loopback.has_ipv4 {
		address(net.IPv4(127, 0, 0, 1).To4(), 8, 32)
	}
	if loopback.has_ipv6 {
		address(net.IPv6loopback, 128, 128)
	}
	return result, nil
}

func checkLoopback(path string) error {
	loopback, err := lookAtLoopback(path, false)
	if err == nil && !bool(loopback.up) {
		err = newError(codeMismatch, "the loopback interface of %s is down", path)
	}
	return err
}
