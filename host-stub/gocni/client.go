// SPDX-License-Identifier: BSD-3-Clause

package cni

// The way to podport-hostd: one connection for each call, as the plugin has it. A call sits in C on a
// thread of its own until it is answered; slots bound how many there are.

/*
#cgo pkg-config: podport
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "podport.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	timeoutMax = C.PODPORT_TIMEOUT_MAX_MS * time.Millisecond
	// podport-hostd answers this one from what it knows.
	statusTimeout = 2 * time.Second
	// What hostd's answer may take to arrive: it is told to give up this much before the context's
	// end, so that the caller gets to know what the matter was.
	answerMargin = 250 * time.Millisecond

	codeBadRequest = C.PODPORT_BAD_REQUEST
	codeNetns      = C.PODPORT_NETNS
	codeMismatch   = C.PODPORT_MISMATCH
)

// podport-hostd takes 512 callers, of all kinds. DELs do not stand in line behind ADDs, which may
// have to wait for the agent.
var (
	setupSlots  = make(chan struct{}, 128)
	removeSlots = make(chan struct{}, 128)
)

// ---- errors --------------------------------------------------------------------------------------

func codeName(code int) string {
	return C.GoString(C.podport_code_name(C.int(code)))
}

func kindOf(code int) error {
	switch code {
	case C.PODPORT_HOSTD_AWAY, C.PODPORT_AGENT_AWAY, C.PODPORT_NOT_READY:
		return ErrCNINotInitialized
	case C.PODPORT_BAD_REQUEST, C.PODPORT_UNSUPPORTED:
		return ErrInvalidConfig
	case C.PODPORT_NOT_FOUND:
		return ErrNotFound
	}
	return nil
}

func newError(code int, format string, args ...interface{}) *Error {
	return &Error{Code: code, Name: codeName(code), Message: fmt.Sprintf(format, args...), kind: kindOf(code)}
}

func fromC(failure *C.struct_podport_error) *Error {
	return newError(int(failure.code), "%s", C.GoString(&failure.message[0]))
}

// The context has ended a call.
func givenUp(ctx context.Context, what string) *Error {
	err := newError(C.PODPORT_HOSTD_AWAY, "%s: %v", what, ctx.Err())
	err.cause = ctx.Err()
	return err
}

// ---- a call --------------------------------------------------------------------------------------

type client = *C.struct_podport_client

// Milliseconds for podport-hostd.
func timeoutMS(ctx context.Context, timeout time.Duration) C.uint32_t {
	if timeout == 0 {
		timeout = C.PODPORT_TIMEOUT_DEFAULT_MS * time.Millisecond
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		margin := left / 10
		if margin > answerMargin {
			margin = answerMargin
		}
		if left-margin < timeout {
			timeout = left - margin
		}
	}
	if timeout < time.Millisecond {
		timeout = time.Millisecond
	}
	return C.uint32_t(timeout / time.Millisecond)
}

// Connecting blocks if podport-hostd stands still and many wait for it; the caller does not.
func dial(ctx context.Context, config *config, timeout time.Duration) (client, error) {
	type connected struct {
		client client
		err    error
	}
	done := make(chan connected, 1)
	limit := timeoutMS(ctx, timeout)
	go func() {
		var result connected
		var failure C.struct_podport_error
		var socket *C.char
		if config.socket != "" {
			socket = C.CString(config.socket)
			defer C.free(unsafe.Pointer(socket))
		}
		if C.podport_connect(socket, limit, &result.client, &failure) < 0 {
			result.err = fromC(&failure)
		}
		done <- result
	}()
	select {
	case result := <-done:
		return result.client, result.err
	case <-ctx.Done():
		go func() { C.podport_free((<-done).client) }()
		return nil, givenUp(ctx, "connecting to podport-hostd")
	}
}

// cancelWith makes calls of the client end with the context. The caller runs stop, and not before the
// client is no longer used.
func cancelWith(ctx context.Context, client client) (stop func(), err error) {
	if ctx.Done() == nil {
		return func() {}, nil
	}
	fd := C.eventfd(0, C.EFD_CLOEXEC)
	if fd < 0 {
		return nil, newError(C.PODPORT_INTERNAL, "no file descriptor is free to wait with")
	}
	C.podport_set_cancel_fd(client, fd)
	finished, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			C.eventfd_write(fd, 1)
		case <-finished:
		}
	}()
	return func() {
		close(finished)
		<-watched
		C.close(fd)
	}, nil
}

func call(ctx context.Context, config *config, timeout time.Duration, slots chan struct{},
	do func(client client, failure *C.struct_podport_error) C.int) error {
	if ctx.Err() != nil {
		return givenUp(ctx, "not begun")
	}
	if slots != nil {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		case <-ctx.Done():
			return givenUp(ctx, "waiting for other calls")
		}
	}
	client, err := dial(ctx, config, timeout)
	if err != nil {
		return err
	}
	defer C.podport_free(client)
	stop, err := cancelWith(ctx, client)
	if err != nil {
		return err
	}
	defer stop()
	var failure C.struct_podport_error
	r := do(client, &failure)
	if r == 0 {
		return nil
	}
	result := fromC(&failure)
	if r == -C.int(syscall.ECANCELED) {
		result.cause = ctx.Err()
	}
	return result
}

// ---- memory of C's -------------------------------------------------------------------------------

// memory is what C is given for a call, freed as a whole.
type memory struct {
	blocks []unsafe.Pointer
	err    error // of the first string that C cannot hold
}

func (m *memory) free() {
	for _, block := range m.blocks {
		C.free(block)
	}
}

func (m *memory) alloc(size int) unsafe.Pointer {
	block := C.malloc(C.size_t(size)) // does not return without memory
	m.blocks = append(m.blocks, block)
	return block
}

func (m *memory) string(field, text string) *C.char {
	if strings.IndexByte(text, 0) >= 0 && m.err == nil {
		m.err = invalid("%s: %q has a NUL", field, text)
	}
	copied := C.CString(text)
	m.blocks = append(m.blocks, unsafe.Pointer(copied))
	return copied
}

func (m *memory) bytes(from []byte) unsafe.Pointer {
	if from == nil {
		return nil
	}
	block := m.alloc(len(from))
	copy(unsafe.Slice((*byte)(block), len(from)), from)
	return block
}

func (m *memory) key(config *config, id string) C.struct_podport_key {
	return C.struct_podport_key{
		network:      m.string("network", config.network),
		container_id: m.string("container ID", id),
		ifname:       m.string("interface", config.ifname()),
	}
}

func (m *memory) bandwidth(from *BandWidth) *C.struct_podport_bandwidth {
	if from.IngressRate == 0 && from.EgressRate == 0 {
		return nil
	}
	to := (*C.struct_podport_bandwidth)(m.alloc(C.sizeof_struct_podport_bandwidth))
	*to = C.struct_podport_bandwidth{
		ingress_rate_bps:   C.uint64_t(from.IngressRate),
		ingress_burst_bits: C.uint64_t(from.IngressBurst),
		egress_rate_bps:    C.uint64_t(from.EgressRate),
		egress_burst_bits:  C.uint64_t(from.EgressBurst),
	}
	return to
}

// mappings: as setMappings has checked them.
func (m *memory) mappings(from []PortMapping) *C.struct_podport_port_mapping {
	if len(from) == 0 {
		return nil
	}
	first := (*C.struct_podport_port_mapping)(m.alloc(len(from) * C.sizeof_struct_podport_port_mapping))
	to := unsafe.Slice(first, len(from))
	for i := range from {
		address, _ := from[i].hostAddress()
		protocol, _ := from[i].protocolNumber()
		to[i] = C.struct_podport_port_mapping{
			host_port:      C.uint16_t(from[i].HostPort),
			container_port: C.uint16_t(from[i].ContainerPort),
			protocol:       C.uint8_t(protocol),
		}
		switch len(address) {
		case net.IPv4len:
			to[i].host_family = 4
		case net.IPv6len:
			to[i].host_family = 6
		}
		for k, b := range address {
			to[i].host_ip[k] = C.uint8_t(b)
		}
	}
	return first
}

func takeAttachment(from *C.struct_podport_attachment) *attachment {
	bytesOf := func(from unsafe.Pointer, size int) []byte { return C.GoBytes(from, C.int(size)) }
	a := &attachment{
		ifname: C.GoString(from.key.ifname),
		mac:    bytesOf(unsafe.Pointer(&from.mac), len(from.mac)),
		socket: C.GoString(from.socket_path),
	}
	if from.has_ipv4 {
		a.ips = append(a.ips, IPConfig{
			IP:      bytesOf(unsafe.Pointer(&from.ipv4), net.IPv4len),
			Gateway: bytesOf(unsafe.Pointer(&from.gateway_ipv4), net.IPv4len)})
	}
	if from.has_ipv6 {
		a.ips = append(a.ips, IPConfig{
			IP:      bytesOf(unsafe.Pointer(&from.ipv6), net.IPv6len),
			Gateway: bytesOf(unsafe.Pointer(&from.gateway_ipv6), net.IPv6len)})
	}
	return a
}

// ---- the calls -----------------------------------------------------------------------------------

func add(ctx context.Context, config *config, ns *Namespace, wishes *wishes) (*attachment, error) {
	var m memory
	defer m.free()
	request := (*C.struct_podport_add_request)(m.alloc(C.sizeof_struct_podport_add_request))
	*request = C.struct_podport_add_request{
		size:          C.sizeof_struct_podport_add_request,
		key:           m.key(config, ns.id),
		netns:         m.string("path", ns.path),
		pod_namespace: m.string("K8S_POD_NAMESPACE", ns.args["K8S_POD_NAMESPACE"]),
		pod_name:      m.string("K8S_POD_NAME", ns.args["K8S_POD_NAME"]),
		pod_uid:       m.string("K8S_POD_UID", ns.args["K8S_POD_UID"]),
		ipv4:          (*C.struct_in_addr)(m.bytes(wishes.ipv4)),
		ipv6:          (*C.struct_in6_addr)(m.bytes(wishes.ipv6)),
		mac:           (*C.uint8_t)(m.bytes(wishes.mac)),
		port_kind:     m.string("PORT_KIND", ns.args["PORT_KIND"]),
		bandwidth:     m.bandwidth(&wishes.bandwidth),
		port_mappings: m.mappings(wishes.mappings),

		port_mapping_count: C.size_t(len(wishes.mappings)),
	}
	if m.err != nil {
		return nil, m.err
	}
	var attached *attachment
	err := call(ctx, config, config.timeout, setupSlots, func(client client, failure *C.struct_podport_error) C.int {
		var answer *C.struct_podport_attachment
		r := C.podport_add(client, request, &answer, failure)
		if r == 0 {
			attached = takeAttachment(answer)
			C.podport_attachment_free(answer)
		}
		return r
	})
	return attached, err
}

func del(ctx context.Context, config *config, id, path string) error {
	var m memory
	defer m.free()
	request := (*C.struct_podport_del_request)(m.alloc(C.sizeof_struct_podport_del_request))
	*request = C.struct_podport_del_request{
		size:  C.sizeof_struct_podport_del_request,
		key:   m.key(config, id),
		netns: m.string("path", path),
	}
	if m.err != nil {
		return m.err
	}
	return call(ctx, config, config.timeout, removeSlots, func(client client, failure *C.struct_podport_error) C.int {
		return C.podport_del(client, request, failure)
	})
}

func check(ctx context.Context, config *config, id, path string) error {
	var m memory
	defer m.free()
	request := (*C.struct_podport_check_request)(m.alloc(C.sizeof_struct_podport_check_request))
	*request = C.struct_podport_check_request{
		size:  C.sizeof_struct_podport_check_request,
		key:   m.key(config, id),
		netns: m.string("path", path),
	}
	if m.err != nil {
		return m.err
	}
	return call(ctx, config, config.timeout, setupSlots, func(client client, failure *C.struct_podport_error) C.int {
		var answer *C.struct_podport_attachment
		r := C.podport_check(client, request, &answer, failure)
		if r == 0 {
			C.podport_attachment_free(answer)
		}
		return r
	})
}

// status stands in no line.
func status(config *config) error {
	var state error
	err := call(context.Background(), config, statusTimeout, nil, func(client client, failure *C.struct_podport_error) C.int {
		var answer *C.struct_podport_status
		r := C.podport_get_status(client, &answer, failure)
		if r == 0 {
			state = judge(answer)
			C.podport_status_free(answer)
		}
		return r
	})
	if err != nil {
		return err
	}
	return state
}

// Full is not broken: a runtime that is told "not ready" makes its node not ready, and so has the pods
// that run there moved away.
func judge(status *C.struct_podport_status) error {
	if status.agent == nil {
		why := C.GoString(status.host.link_error)
		if why != "" {
			why = ": " + why
		}
		return newError(C.PODPORT_AGENT_AWAY, "the agent at %s does not answer%s", C.GoString(status.host.agent_url), why)
	}
	if !status.agent.ready {
		return newError(C.PODPORT_NOT_READY, "the agent is not ready: %s", C.GoString(status.agent.not_ready_reason))
	}
	return nil
}

// A "sandbox" that is the runtime's own namespace is a mistake, and an expensive one.
func refuseOwnNetns(path string) error {
	own, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return newError(C.PODPORT_INTERNAL, "%v", err)
	}
	sandbox, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return newError(C.PODPORT_NETNS, "%v", err)
	}
	if err == nil && os.SameFile(own, sandbox) {
		return newError(C.PODPORT_NETNS, "%s is the network namespace of the runtime itself", path)
	}
	return nil
}
