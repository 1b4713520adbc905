// SPDX-License-Identifier: BSD-3-Clause

// Calls by host-stub/gocni, many at once, for tests/bench/benchmarks/calls.py, which builds it.
//
//	gocni_calls SOCKET
//
// Standard input: a line "ADD COUNT", "CHECK COUNT" or "DEL COUNT", then as many lines "CONTAINER NETNS". All calls of them are
// begun together; the answer is a line of JSON, a list of how many milliseconds each took.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	cni "github.com/containerd/go-cni"
)

func call(plugin cni.CNI, command, container, netns string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch command {
	case "ADD":
		_, err := plugin.Setup(ctx, container, netns)
		return err
	case "CHECK":
		return plugin.Check(ctx, container, netns)
	}
	return plugin.Remove(ctx, container, netns)
}

func batch(plugin cni.CNI, command string, sandboxes [][2]string) ([]float64, error) {
	taken := make([]float64, len(sandboxes))
	failed := make(chan error, len(sandboxes))
	begin := make(chan struct{})
	var all sync.WaitGroup
	for number, sandbox := range sandboxes {
		all.Add(1)
		go func(number int, container, netns string) {
			defer all.Done()
			<-begin
			start := time.Now()
			if err := call(plugin, command, container, netns); err != nil {
				failed <- err
			}
			taken[number] = float64(time.Since(start).Microseconds()) / 1000
		}(number, sandbox[0], sandbox[1])
	}
	close(begin)
	all.Wait()
	select {
	case err := <-failed:
		return nil, err
	default:
		return taken, nil
	}
}

func run() error {
	plugin, err := cni.New(cni.WithSocket(os.Args[1]), cni.WithNetwork("bench"))
	if err != nil {
		return err
	}
	input := bufio.NewReader(os.Stdin)
	for {
		var command string
		var count int
		if _, err := fmt.Fscanln(input, &command, &count); err != nil {
			return nil
		}
		sandboxes := make([][2]string, count)
		for number := range sandboxes {
			if _, err := fmt.Fscanln(input, &sandboxes[number][0], &sandboxes[number][1]); err != nil {
				return err
			}
		}
		taken, err := batch(plugin, command, sandboxes)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(taken); err != nil {
			return err
		}
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gocni_calls:", err)
		os.Exit(1)
	}
}
