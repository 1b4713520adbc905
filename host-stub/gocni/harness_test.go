// SPDX-License-Identifier: BSD-3-Clause

package cni

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Only what hangs takes this long.
const patience = 30 * time.Second

// A podport-hostd that answers as container IDs and set say: testdata/fake_hostd_main.c.
type fakeHostd struct {
	t      *testing.T
	socket string
	stdin  io.Writer
	lines  chan string
}

func startFake(t *testing.T) *fakeHostd {
	t.Helper()
	program := os.Getenv("PODPORT_FAKE_HOSTD")
	if program == "" {
		t.Fatal("PODPORT_FAKE_HOSTD does not name the fake hostd: run this test by ctest")
	}
	// A socket's path may have 107 bytes: t.TempDir() has the test's name in it.
	folder, err := os.MkdirTemp("", "gocni")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	fake := &fakeHostd{t: t, socket: filepath.Join(folder, "hostd.sock"), lines: make(chan string, 1000)}
	command := exec.Command(program, fake.socket)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	fake.stdin = stdin
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			fake.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-ended
		if err := command.Wait(); err != nil {
			t.Errorf("the fake hostd: %v", err)
		}
	})
	fake.expect("ready")
	return fake
}

// expect the next line to begin so.
func (f *fakeHostd) expect(want string) {
	f.t.Helper()
	select {
	case line := <-f.lines:
		if !strings.HasPrefix(line, want) {
			f.t.Fatalf("hostd saw %q, not %q", line, want)
		}
	case <-time.After(patience):
		f.t.Fatalf("hostd has not seen %q", want)
	}
}

func (f *fakeHostd) expectNothing() {
	f.t.Helper()
	select {
	case line := <-f.lines:
		f.t.Fatalf("hostd saw %q", line)
	default:
	}
}

func (f *fakeHostd) set(agent string) {
	f.t.Helper()
	fmt.Fprintln(f.stdin, agent)
	f.expect("set")
}

func (f *fakeHostd) cni(opts ...Opt) CNI {
	f.t.Helper()
	c, err := New(append([]Opt{WithSocket(f.socket)}, opts...)...)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// newNetns is the path of a network namespace that lasts as long as the test.
func newNetns(t *testing.T) string {
	t.Helper()
	command := exec.Command("cat")
	command.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("a network namespace cannot be made: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		command.Wait()
	})
	return fmt.Sprintf("/proc/%d/ns/net", command.Process.Pid)
}

func setup(t *testing.T, c CNI, id, netns string, opts ...NamespaceOpts) *Result {
	t.Helper()
	result, err := c.Setup(context.Background(), id, netns, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantError(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error that says %q", says)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Fatalf("%q does not say %q", err, text)
		}
	}
}
