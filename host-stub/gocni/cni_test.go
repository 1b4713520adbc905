// SPDX-License-Identifier: BSD-3-Clause

package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnAttachmentIsReportedAsContainerdReadsIt(t *testing.T) {
	netns := newNetns(t)
	result := setup(t, startFake(t).cni(), "c0ffee", netns)

	eth0 := result.Interfaces["eth0"]
	if len(result.Interfaces) != 1 || eth0 == nil {
		t.Fatalf("interfaces: %v", result.Interfaces)
	}
	if eth0.Sandbox != netns || eth0.Mac == "" || eth0.Mac == "00:00:00:00:00:00" {
		t.Errorf("eth0: %+v", eth0)
	}
	// The samples of proto/test_samples.c.
	var got []string
	for _, ip := range eth0.IPConfigs {
		got = append(got, ip.IP.String()+" by "+ip.Gateway.String())
	}
	if want := []string{"10.88.0.2 by 10.88.0.1", "fd00:88::2 by fd00:88::1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("addresses %v, not %v", got, want)
	}
	got = nil
	for _, route := range result.Routes {
		got = append(got, route.Dst.String()+" by "+route.GW.String())
	}
	if want := []string{"0.0.0.0/0 by 10.88.0.1", "::/0 by fd00:88::1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("routes %v, not %v", got, want)
	}
	raw := result.Raw()
	if len(raw) != 1 || raw[0].IPs[0].Address.String() != "10.88.0.2/32" || raw[0].IPs[1].Address.String() != "fd00:88::2/128" {
		t.Errorf("raw: %v", raw)
	}
}

func TestAResultOutlivesARestartOfTheRuntime(t *testing.T) {
	result := setup(t, startFake(t).cni(), "c0ffee", newNetns(t))
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var read Result
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if !read.Interfaces["eth0"].IPConfigs[0].IP.Equal(net.IPv4(10, 88, 0, 2)) {
		t.Errorf("read back: %s", text)
	}
}

func TestThePodAndWhatItWishesAreTold(t *testing.T) {
	fake := startFake(t)
	netns := newNetns(t)
	c := fake.cni(WithNetwork("blue"), WithInterfacePrefix("net"))
	labels := map[string]string{"K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": "web-1", "IgnoreUnknown": "1"}

	setup(t, c, "c1", netns, WithLabels(labels))
	fake.expect("attach blue c1 net0 default/web-1 - - - timeout")
	setup(t, c, "c2", netns, WithArgs("IP", "10.88.0.7,fd00:88::7"), WithArgs("MAC", "02:00:00:00:00:07"))
	fake.expect("attach blue c2 net0 / 10.88.0.7 fd00:88::7 02:00:00:00:00:07")
	setup(t, c, "c3", netns, WithArgs("IP", "10.88.0.7"), WithCapability("ips", []string{"10.88.0.9/24"}),
		WithCapability("mac", "02:00:00:00:00:09"))
	fake.expect("attach blue c3 net0 / 10.88.0.9 - 02:00:00:00:00:09")
}

func TestLimitsAndMappedPortsAreTold(t *testing.T) {
	fake := startFake(t)
	netns := newNetns(t)
	c := fake.cni()

	setup(t, c, "c1", netns, WithCapabilityBandWidth(BandWidth{IngressRate: 5000000, IngressBurst: 4294967295, EgressBurst: 7}))
	fake.expect("attach podport c1 eth0 / - - - in 5000000/4294967295 out 0/0 timeout")
	setup(t, c, "c2", netns, WithCapabilityPortMap([]PortMapping{
		{HostPort: 8080, ContainerPort: 80},
		{ContainerPort: 81},
		{HostPort: 8080, ContainerPort: 82, Protocol: "UDP", HostIP: "192.168.2.9"},
		{HostPort: 8081, ContainerPort: 83, Protocol: "tcp", HostIP: "2001:db8::1"}}))
	fake.expect("attach podport c2 eth0 / - - - map 0:8080-80/6/0000 map 4:8080-82/17/c0a8 map 6:8081-83/6/2001 timeout")
}

func TestWishesThatAreMalformedAreNamed(t *testing.T) {
	c, netns := startFake(t).cni(), newNetns(t)
	for says, opt := range map[string]NamespaceOpts{
		"10.88.0.300":         WithArgs("IP", "10.88.0.300"),
		"10.88.0.2/33":        WithCapability("ips", []string{"10.88.0.2/33"}),
		"second IPv6 address": WithCapability("ips", []string{"fd00::1", "fd00::2"}),
		"capability ips":      WithCapability("ips", 7),
		"no MAC address":      WithCapability("mac", "02:00"),
		"capability odd":      WithCapability("odd", func() {}),
		"ingress_rate_bps":    WithCapabilityBandWidth(BandWidth{IngressRate: 999}),
		"no IPv4 or IPv6":     WithCapabilityPortMap([]PortMapping{{HostPort: 80, ContainerPort: 80, HostIP: "x"}}),
		"70000 is no port":    WithCapabilityPortMap([]PortMapping{{HostPort: 70000, ContainerPort: 80}}),
		"0 is no port":        WithCapabilityPortMap([]PortMapping{{HostPort: 80}}),
		"given twice": WithCapabilityPortMap([]PortMapping{
			{HostPort: 80, ContainerPort: 80}, {HostPort: 80, ContainerPort: 81, Protocol: "tcp"}}),
	} {
		_, err := c.Setup(context.Background(), "c0ffee", netns, opt)
		wantError(t, err, says)
		if !IsInvalidConfig(err) {
			t.Errorf("%v is not ErrInvalidConfig", err)
		}
	}
}

func TestWhatPodportCannotDoIsRefusedAndNotSwallowed(t *testing.T) {
	fake := startFake(t)
	c, netns := fake.cni(), newNetns(t)
	for name, opt := range map[string]NamespaceOpts{
		"portMappings":   WithCapabilityPortMap([]PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "sctp"}}),
		"ipRanges":       WithCapabilityIPRanges([]IPRanges{{Subnet: "10.0.0.0/24"}}),
		"aliases":        WithCapability("aliases", []string{"web"}),
		"deviceID":       WithCapability("deviceID", "0000:03:00.2"),
		"infinibandGUID": WithCapability("infinibandGUID", "c2:11:22:33:44:55:66:77"),
	} {
		_, err := c.Setup(context.Background(), "c0ffee", netns, opt)
		wantError(t, err, "capability "+name)
		if !IsInvalidConfig(err) {
			t.Errorf("%v is not ErrInvalidConfig", err)
		}
		fake.expectNothing()
		// The runtime says the same again when it removes what it could not attach.
		if err := c.Remove(context.Background(), "c0ffee", netns, opt); err != nil {
			t.Errorf("remove with %s: %v", name, err)
		}
		fake.expect("detach")
	}
}

func TestCapabilitiesThatWishForNothingAreFine(t *testing.T) {
	setup(t, startFake(t).cni(), "c0ffee", newNetns(t),
		WithCapabilityPortMap(nil), WithCapabilityPortMap([]PortMapping{{ContainerPort: 80}}),
		WithCapabilityBandWidth(BandWidth{IngressBurst: 4294967295}),
		WithCapabilityIPRanges(nil), WithCapability("deviceID", ""), WithCapability("bandwidth", nil),
		WithCapabilityCgroupPath("/kubepods/pod1"),
		WithCapability("io.kubernetes.cri.pod-annotations", map[string]string{"a": "b"}))
}

func TestDNSComesBack(t *testing.T) {
	result := setup(t, startFake(t).cni(WithLoNetwork), "c0ffee", newNetns(t),
		WithCapabilityDNS(DNS{Servers: []string{"10.0.0.10"}, Searches: []string{"svc.local"}, Options: []string{"ndots:5"}}))
	dns := result.DNS[len(result.DNS)-1]
	if len(result.DNS) != 2 || dns.Nameservers[0] != "10.0.0.10" || dns.Search[0] != "svc.local" || dns.Options[0] != "ndots:5" {
		t.Errorf("DNS: %+v", result.DNS)
	}
}

func TestRemoveOfTheUnknownIsNoError(t *testing.T) {
	fake := startFake(t)
	c := fake.cni()
	for _, path := range []string{"", "/run/netns/long-gone", newNetns(t)} {
		if err := c.Remove(context.Background(), "code6-unknown", path); err != nil {
			t.Errorf("path %q: %v", path, err)
		}
		fake.expect("detach podport code6-unknown eth0")
	}
	wantError(t, c.Remove(context.Background(), "code10-store", ""), "because the test wants it")
}

func TestErrorsSayWhatKindTheyAre(t *testing.T) {
	c, netns := startFake(t).cni(), newNetns(t)
	for id, kind := range map[string]error{
		"code4": ErrCNINotInitialized, "code5": ErrCNINotInitialized, "hangup": ErrCNINotInitialized,
		"code2": ErrInvalidConfig, "code3": ErrInvalidConfig, "code6": ErrNotFound, "code8": nil,
	} {
		err := c.Check(context.Background(), id, netns)
		var failure *Error
		if !errors.As(err, &failure) {
			t.Fatalf("%s: %v is no *Error", id, err)
		}
		for _, each := range []error{ErrCNINotInitialized, ErrInvalidConfig, ErrNotFound, ErrRead, ErrInvalidResult, ErrLoad} {
			if errors.Is(err, each) != (each == kind) {
				t.Errorf("%s: errors.Is(%v, %v) is %v", id, err, each, errors.Is(err, each))
			}
		}
	}
	var failure *Error
	_, err := c.Setup(context.Background(), "code8", netns)
	if !errors.As(err, &failure) || failure.Code != 8 || failure.Name != "no-address" {
		t.Errorf("%+v", failure)
	}
}

func TestStatusSaysHowTheAgentIs(t *testing.T) {
	fake := startFake(t)
	c := fake.cni()
	check := func(says ...string) {
		t.Helper()
		err := c.Status()
		fake.expect("get-status")
		if len(says) == 0 {
			if err != nil {
				t.Errorf("ready, but: %v", err)
			}
			return
		}
		wantError(t, err, says...)
		if !IsCNINotInitialized(err) {
			t.Errorf("%v is not ErrCNINotInitialized", err)
		}
	}
	check()
	fake.set("away")
	check("ipc:///run/agent.sock", "nobody listens")
	fake.set("unready")
	check("the pod network is not known")
	// Pods that run are fine: their node must not become unready.
	fake.set("full")
	check()
}

func TestWithoutHostdItsSocketIsNamed(t *testing.T) {
	socket := filepath.Join(os.TempDir(), "nobody.sock")
	c, _ := New(WithSocket(socket))
	for _, err := range []error{c.Status(), c.Remove(context.Background(), "c0ffee", "")} {
		wantError(t, err, socket)
		if !IsCNINotInitialized(err) {
			t.Errorf("%v is not ErrCNINotInitialized", err)
		}
	}
}

func TestTheRuntimesOwnNetworkIsNotTakenForASandbox(t *testing.T) {
	fake := startFake(t)
	_, err := fake.cni(WithLoNetwork).Setup(context.Background(), "c0ffee", "/proc/self/ns/net")
	wantError(t, err, "the runtime itself")
	fake.expectNothing()
}

func TestLoopbackIsBroughtUpInTheSandbox(t *testing.T) {
	c, netns := startFake(t).cni(WithLoNetwork), newNetns(t)
	wantError(t, c.Check(context.Background(), "c0ffee", netns), "loopback", "down")

	result := setup(t, c, "c0ffee", netns)
	lo := result.Interfaces["lo"]
	if lo == nil || lo.Sandbox != netns || !lo.IPConfigs[0].IP.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("lo: %+v", lo)
	}
	if len(result.Raw()) != 2 || result.Interfaces["eth0"] == nil {
		t.Errorf("result: %+v", result)
	}
	if err := c.Check(context.Background(), "c0ffee", netns); err != nil {
		t.Error(err)
	}
	// Nor is it brought up where nobody asked for it.
	other := newNetns(t)
	setup(t, startFake(t).cni(), "c0ffee", other)
	if loopback, err := lookAtLoopback(other, false); err != nil || bool(loopback.up) {
		t.Errorf("lo: %+v, %v", loopback, err)
	}
	_, err := c.Setup(context.Background(), "c0ffee", "/run/netns/nowhere")
	wantError(t, err, "/run/netns/nowhere", "no such file")
	_, err = c.Setup(context.Background(), "c0ffee", "/proc/version")
	wantError(t, err, "/proc/version", "entering")
}

func TestNoConfigurationIsNeededAndAnyIsTaken(t *testing.T) {
	fake := startFake(t)
	c := fake.cni(WithMinNetworkCount(2), WithPluginDir([]string{"/opt/cni/bin"}), WithPluginConfDir("/nowhere"),
		WithPluginMaxConfNum(3))
	if err := c.Load(WithLoNetwork, WithDefaultConf, WithAllConf, WithConf([]byte("no JSON")), WithConfIndex(nil, 3),
		WithConfFile("/nowhere/x.conf"), WithConfListBytes(nil), WithConfListFile("/nowhere/x.conflist")); err != nil {
		t.Fatal(err)
	}
	if err := c.Status(); err != nil {
		t.Error(err)
	}
	failing := func(*libcni) error { return errors.New("on purpose") }
	if err := c.Load(WithInterfacePrefix("net"), failing); !errors.Is(err, ErrLoad) {
		t.Errorf("%v", err)
	}
	config := c.GetConfig()
	if config.Prefix != "eth" || config.PluginConfDir != "/nowhere" || config.PluginMaxConfNum != 3 || len(config.Networks) != 2 {
		t.Errorf("after a Load that failed: %+v", config)
	}
	for i, ifname := range []string{"lo", "eth0"} {
		network := config.Networks[i]
		if network.IFName != ifname || network.Config.Name == "" || network.Config.Plugins[0].Network.Type == "" ||
			!json.Valid([]byte(network.Config.Source)) {
			t.Errorf("network %d: %+v", i, network)
		}
	}
	if err := c.Load(); err != nil || len(c.GetConfig().Networks) != 1 {
		t.Errorf("Load without WithLoNetwork: %v, %+v", err, c.GetConfig())
	}
	if _, err := New(WithTimeout(0)); err == nil {
		t.Error("a time limit of nothing is taken")
	}
}

func TestEnvironmentSaysWhereHostdIs(t *testing.T) {
	fake := startFake(t)
	t.Setenv("PODPORT_SOCKET", fake.socket)
	t.Setenv("PODPORT_NETWORK", "green")
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	setup(t, c, "c0ffee", newNetns(t))
	fake.expect("attach green c0ffee eth0")
}

func TestACallEndsWithItsContext(t *testing.T) {
	fake := startFake(t)
	c, netns := fake.cni(WithTimeout(timeoutMax)), newNetns(t)
	for name, do := range map[string]func(ctx context.Context) error{
		"setup":  func(ctx context.Context) error { _, err := c.Setup(ctx, "silent", netns); return err },
		"remove": func(ctx context.Context) error { return c.Remove(ctx, "silent", netns) },
		"check":  func(ctx context.Context) error { return c.Check(ctx, "silent", netns) },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- do(ctx) }()
		<-fake.lines // hostd has it
		select {
		case err := <-ended:
			t.Fatalf("%s ended before it was cancelled: %v", name, err)
		default:
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if err := do(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", name, err)
		}
		fake.expectNothing()

		ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := do(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		<-fake.lines
	}
}

func TestHostdKnowsTheContextsEnd(t *testing.T) {
	fake := startFake(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := fake.cni().Remove(ctx, "c0ffee", ""); err != nil {
		t.Fatal(err)
	}
	var timeout int
	line := <-fake.lines
	if _, err := fmt.Sscanf(line, "detach podport c0ffee eth0 timeout %d", &timeout); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	// Sooner than the caller, so that its answer arrives.
	if timeout < 100 || timeout > 2750 {
		t.Errorf("hostd was given %d ms of 3000", timeout)
	}
}

func TestOneSlowCallHoldsUpNoOther(t *testing.T) {
	fake := startFake(t)
	c, netns := fake.cni(WithTimeout(timeoutMax)), newNetns(t)
	ctx, cancel := context.WithCancel(context.Background())
	var slow sync.WaitGroup
	for i := 0; i < 8; i++ {
		slow.Add(1)
		go func(id string) {
			defer slow.Done()
			if _, err := c.Setup(ctx, id, netns); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", id, err)
			}
		}(fmt.Sprintf("silent%d", i))
	}
	for i := 0; i < 8; i++ {
		fake.expect("attach podport silent")
	}
	// go-cni held a read lock here, and Load waited for all of them, and all others for Load.
	if err := c.Load(WithLoNetwork); err != nil {
		t.Error(err)
	}
	if err := c.Status(); err != nil {
		t.Error(err)
	}
	setup(t, c, "c0ffee", netns)
	if err := c.Remove(context.Background(), "c0ffee", netns); err != nil {
		t.Error(err)
	}
	c.GetConfig()
	cancel()
	slow.Wait()
}

func TestManyCallsAtOnceAreEachAnswered(t *testing.T) {
	fake := startFake(t)
	c, netns := fake.cni(), newNetns(t)
	var all sync.WaitGroup
	for worker := 0; worker < 12; worker++ { // the fake takes 16 connections
		all.Add(1)
		go func(worker int) {
			defer all.Done()
			for i := 0; i < 20; i++ {
				id := fmt.Sprintf("c%d-%d", worker, i)
				if _, err := c.Setup(context.Background(), id, netns); err != nil {
					t.Error(err)
				}
				if err := c.Check(context.Background(), id, netns); err != nil {
					t.Error(err)
				}
				if err := c.Remove(context.Background(), id, netns); err != nil {
					t.Error(err)
				}
			}
		}(worker)
	}
	all.Wait()
	calls := map[string]bool{}
	for i := 0; i < 3*12*20; i++ {
		calls[strings.Join(strings.Fields(<-fake.lines)[:3], " ")] = true
	}
	if len(calls) != 3*12*20 {
		t.Errorf("%d different calls arrived", len(calls))
	}
}

func TestNoDescriptorIsLeftOpen(t *testing.T) {
	fake := startFake(t)
	c, netns := fake.cni(WithLoNetwork), newNetns(t)
	once := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		c.Setup(context.Background(), "c0ffee", netns)
		c.Setup(ctx, "silent", netns)
		c.Remove(ctx, "code10", netns)
		c.Status()
	}
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	once()
	before := count()
	for i := 0; i < 5; i++ {
		once()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestStringsThatCCannotHoldAreRefused(t *testing.T) {
	fake := startFake(t)
	c := fake.cni()
	wantError(t, c.Remove(context.Background(), "c0ffee\x00x", ""), "NUL")
	wantError(t, c.Remove(context.Background(), "../c0ffee", ""), "container_id")
	_, err := c.Setup(context.Background(), "c0ffee", newNetns(t)+"\x00")
	if err == nil {
		t.Error("a path with a NUL is taken")
	}
	fake.expectNothing()
}
