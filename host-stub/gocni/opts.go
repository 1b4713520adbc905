// SPDX-License-Identifier: BSD-3-Clause

package cni

import (
	"fmt"
	"os"
	"time"
)

// Defaults. The folders are those of CNI, for callers that name them; nothing here looks there.
const (
	CNIPluginName        = "cni"
	DefaultNetDir        = "/etc/cni/net.d"
	DefaultCNIDir        = "/opt/cni/bin"
	DefaultMaxConfNum    = 1
	VendorCNIDirTemplate = "%s/opt/%s/bin"
	DefaultPrefix        = "eth"

	// DefaultNetwork is the network part of an attachment's key, as in packaging's conflist: a
	// runtime may change over from the plugin while its pods run.
	DefaultNetwork = "podport"
)

// Opt sets options of an instance, for New and Load.
type Opt func(c *libcni) error

// CNIOpt is the former name of Opt.
type CNIOpt = Opt

type config struct {
	pluginDirs       []string
	pluginConfDir    string
	pluginMaxConfNum int
	prefix           string
	loopback         bool

	socket  string // "": libpodport's default
	network string
	timeout time.Duration // of a call whose context has no sooner end; 0: libpodport's default
}

func defaultConfig() config {
	network := os.Getenv("PODPORT_NETWORK")
	if network == "" {
		network = DefaultNetwork
	}
	return config{
		pluginDirs:       []string{DefaultCNIDir},
		pluginConfDir:    DefaultNetDir,
		pluginMaxConfNum: DefaultMaxConfNum,
		prefix:           DefaultPrefix,
		socket:           os.Getenv("PODPORT_SOCKET"),
		network:          network,
	}
}

func (c *config) ifname() string {
	return c.prefix + "0"
}

func set(change func(config *config)) Opt {
	return func(c *libcni) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		change(&c.config)
		return nil
	}
}

// WithSocket says where podport-hostd listens, if it is not where libpodport expects it.
func WithSocket(path string) Opt {
	return set(func(config *config) { config.socket = path })
}

// WithNetwork names the network: that part of an attachment's key. The default is DefaultNetwork.
func WithNetwork(name string) Opt {
	return set(func(config *config) { config.network = name })
}

// WithTimeout limits each call, from a millisecond to ten minutes; a context may end it sooner. The
// default is libpodport's, ten seconds.
func WithTimeout(timeout time.Duration) Opt {
	return func(c *libcni) error {
		if timeout < time.Millisecond || timeout > timeoutMax {
			return fmt.Errorf("a time limit of %v is not from %v to %v", timeout, time.Millisecond, timeoutMax)
		}
		return set(func(config *config) { config.timeout = timeout })(c)
	}
}

// WithInterfacePrefix sets what the name of a pod's interface begins with; a 0 follows it.
func WithInterfacePrefix(prefix string) Opt {
	return set(func(config *config) { config.prefix = prefix })
}

// WithLoNetwork has Setup bring up the loopback interface, and Check look whether it is up.
func WithLoNetwork(c *libcni) error {
	return set(func(config *config) { config.loopback = true })(c)
}

// WithPluginDir is seen in GetConfig only: there are no plugins.
func WithPluginDir(dirs []string) Opt {
	dirs = append([]string(nil), dirs...)
	return set(func(config *config) { config.pluginDirs = dirs })
}

// WithPluginConfDir is seen in GetConfig only: no configuration is read.
func WithPluginConfDir(dir string) Opt {
	return set(func(config *config) { config.pluginConfDir = dir })
}

// WithPluginMaxConfNum is seen in GetConfig only: no configuration is read.
func WithPluginMaxConfNum(maxConfigs int) Opt {
	return set(func(config *config) { config.pluginMaxConfNum = maxConfigs })
}

func ignored(*libcni) error { return nil }

// WithMinNetworkCount is of no effect: the networks are always there, whether they are ready is the
// agent's to say.
func WithMinNetworkCount(count int) Opt { return ignored }

// WithConf is of no effect, as is all that follows: podport's network needs no configuration, and
// other plugins are not run.
func WithConf(bytes []byte) Opt { return ignored }

// WithConfIndex is of no effect.
func WithConfIndex(bytes []byte, index int) Opt { return ignored }

// WithConfFile is of no effect.
func WithConfFile(fileName string) Opt { return ignored }

// WithConfListBytes is of no effect.
func WithConfListBytes(bytes []byte) Opt { return ignored }

// WithConfListFile is of no effect.
func WithConfListFile(fileName string) Opt { return ignored }

// WithDefaultConf is of no effect.
func WithDefaultConf(c *libcni) error { return nil }

// WithAllConf is of no effect.
func WithAllConf(c *libcni) error { return nil }
