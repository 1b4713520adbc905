// SPDX-License-Identifier: BSD-3-Clause

// Package cni has the interface of containerd/go-cni and attaches pods by podport: a container
// runtime that is built with it needs no CNI plugins and no CNI configuration. It is a thin layer over
// libpodport, and so over podport-hostd, which does the work.
//
// What differs from running plugins:
//
//   - There is always one network, podport's, with the interface PREFIX0 (eth0); WithLoNetwork adds
//     the loopback interface. Options that name plugins, folders and configurations are kept for
//     GetConfig and are otherwise of no effect.
//   - Nothing is read from, or written to, the file system. The variables PODPORT_SOCKET and
//     PODPORT_NETWORK in the environment, or WithSocket and WithNetwork, say what has to be said.
//   - Status tells how the agent is, and is asked of podport-hostd each time.
//   - Remove succeeds for what is not attached, and with the agent away: the release is then on
//     podport-hostd's disk.
//   - Contexts count: a call that is given up returns at once, and what it has begun is undone.
//   - No lock is held while a call is under way. All methods may be called at any time by any
//     number of goroutines.
package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// CNI attaches sandboxes to the pod network.
type CNI interface {
	// Setup attaches sandbox id, whose network namespace is at path. Again for what is attached,
	// it returns the same result.
	Setup(ctx context.Context, id string, path string, opts ...NamespaceOpts) (*Result, error)
	// SetupSerially is Setup: there is one network.
	SetupSerially(ctx context.Context, id string, path string, opts ...NamespaceOpts) (*Result, error)
	// Remove detaches sandbox id. The path may be "" or lead nowhere: the sandbox is gone then.
	Remove(ctx context.Context, id string, path string, opts ...NamespaceOpts) error
	// Check fails with what differs if the sandbox is not, or not served, as it was attached.
	Check(ctx context.Context, id string, path string, opts ...NamespaceOpts) error
	// Load replaces the networks by those of opts: of no effect but for WithLoNetwork.
	Load(opts ...Opt) error
	// Status is nil if pods can be attached. A NIC or a pod network that is full is no error: pods
	// that run do not suffer, and the next Setup says so.
	Status() error
	// GetConfig tells what this package would have been told by CNI configurations.
	GetConfig() *ConfigResult
}

// ConfigResult is what GetConfig returns.
type ConfigResult struct {
	PluginDirs       []string
	PluginConfDir    string
	PluginMaxConfNum int
	Prefix           string
	Networks         []*ConfNetwork
}

// ConfNetwork is a network and the name of its interface in the sandbox.
type ConfNetwork struct {
	Config *NetworkConfList
	IFName string
}

// NetworkConfList is a network; Source is its configuration as JSON.
type NetworkConfList struct {
	Name       string
	CNIVersion string
	Plugins    []*NetworkConf
	Source     string
}

// NetworkConf is one entry of a network's list; Source is its configuration as JSON.
type NetworkConf struct {
	Network *types.NetConf
	Source  string
}

// libcni is the one implementation. Its name is seen by nobody; functions of type Opt take it.
type libcni struct {
	mu     sync.Mutex // over what follows; held to copy it, never over a call
	config config
}

// New makes an instance. Nothing is contacted.
func New(opts ...Opt) (CNI, error) {
	c := &libcni{config: defaultConfig()}
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *libcni) current() config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.config
}

func (c *libcni) Load(opts ...Opt) error {
	// Options lock for themselves: what is loaded is put together aside.
	loaded := &libcni{config: c.current()}
	loaded.config.loopback = false
	for _, opt := range opts {
		if err := opt(loaded); err != nil {
			return fmt.Errorf("%w: %v", ErrLoad, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = loaded.config
	return nil
}

func (c *libcni) Setup(ctx context.Context, id string, path string, opts ...NamespaceOpts) (*Result, error) {
	config := c.current()
	ns, err := newNamespace(id, path, opts)
	if err != nil {
		return nil, err
	}
	wishes, err := ns.wishes()
	if err != nil {
		return nil, err
	}
	if err := refuseOwnNetns(path); err != nil {
		return nil, err
	}
	var results []*types100.Result
	if config.loopback {
		result, err := setUpLoopback(path)
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	attachment, err := add(ctx, &config, ns, wishes)
	if err != nil {
		return nil, err
	}
	results = append(results, attachment.result(path, wishes.dns))
	result := newResult(results)
	// Raw results are of a CNI version that has no place for it.
	result.Interfaces[attachment.ifname].SocketPath = attachment.socket
	return result, nil
}

func (c *libcni) SetupSerially(ctx context.Context, id string, path string, opts ...NamespaceOpts) (*Result, error) {
	return c.Setup(ctx, id, path, opts...)
}

func (c *libcni) Remove(ctx context.Context, id string, path string, opts ...NamespaceOpts) error {
	config := c.current()
	// Options are not looked at: what could not be attached with them can be removed with them.
	err := del(ctx, &config, id, path)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (c *libcni) Check(ctx context.Context, id string, path string, opts ...NamespaceOpts) error {
	config := c.current()
	if config.loopback {
		if err := checkLoopback(path); err != nil {
			return err
		}
	}
	return check(ctx, &config, id, path)
}

func (c *libcni) Status() error {
	config := c.current()
	return status(&config)
}

func (c *libcni) GetConfig() *ConfigResult {
	config := c.current()
	result := &ConfigResult{
		PluginDirs:       append([]string(nil), config.pluginDirs...),
		PluginConfDir:    config.pluginConfDir,
		PluginMaxConfNum: config.pluginMaxConfNum,
		Prefix:           config.prefix,
	}
	if config.loopback {
		result.Networks = append(result.Networks, describe("loopback", "loopback", loopbackName))
	}
	result.Networks = append(result.Networks, describe(config.network, "podport", config.ifname()))
	return result
}

// A network as its configuration would be, were there one.
func describe(network, kind, ifname string) *ConfNetwork {
	// Strings are always JSON.
	plugin, _ := json.Marshal(map[string]string{"type": kind})
	list, _ := json.Marshal(map[string]interface{}{
		"cniVersion": resultVersion, "name": network, "plugins": []json.RawMessage{plugin}})
	return &ConfNetwork{
		IFName: ifname,
		Config: &NetworkConfList{
			Name:       network,
			CNIVersion: resultVersion,
			Source:     string(list),
			Plugins: []*NetworkConf{{
				Network: &types.NetConf{CNIVersion: resultVersion, Name: network, Type: kind},
				Source:  string(plugin),
			}},
		},
	}
}
