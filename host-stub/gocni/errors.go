// SPDX-License-Identifier: BSD-3-Clause

package cni

import "errors"

// What errors of this package are, for errors.Is. Each comes with a sentence of its own.
var (
	// ErrCNINotInitialized: podport-hostd or the agent is away, or not ready.
	ErrCNINotInitialized = errors.New("the pod network is not ready")
	// ErrInvalidConfig: what the caller asked for is malformed, or cannot be done.
	ErrInvalidConfig = errors.New("invalid request")
	// ErrNotFound: there is no such attachment.
	ErrNotFound = errors.New("not attached")
	// ErrLoad: an option that was given to Load failed.
	ErrLoad = errors.New("options cannot be loaded")
	// ErrRead and ErrInvalidResult belong to the interface and do not occur: no file is read, and no
	// plugin's result.
	ErrRead          = errors.New("configuration cannot be read")
	ErrInvalidResult = errors.New("invalid result")
)

// IsCNINotInitialized is errors.Is with ErrCNINotInitialized.
func IsCNINotInitialized(err error) bool { return errors.Is(err, ErrCNINotInitialized) }

// IsInvalidConfig is errors.Is with ErrInvalidConfig.
func IsInvalidConfig(err error) bool { return errors.Is(err, ErrInvalidConfig) }

// IsNotFound is errors.Is with ErrNotFound.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) }

// IsReadFailure is errors.Is with ErrRead.
func IsReadFailure(err error) bool { return errors.Is(err, ErrRead) }

// IsInvalidResult is errors.Is with ErrInvalidResult.
func IsInvalidResult(err error) bool { return errors.Is(err, ErrInvalidResult) }

// Error is an error of libpodport, podport-hostd or the agent.
type Error struct {
	Code    int    // enum podport_code of podport.h
	Name    string // of the code: "no-address"
	Message string // one sentence

	kind  error // one of the above, or nil
	cause error // the context's, if that is why; or nil
}

func (e *Error) Error() string { return "podport: " + e.Message }

// Is: what kind of error this is, and whether a context ended the call.
func (e *Error) Is(target error) bool {
	return (e.kind != nil && target == e.kind) || (e.cause != nil && errors.Is(e.cause, target))
}
