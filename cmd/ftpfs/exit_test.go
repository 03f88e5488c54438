package main

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"net"
	"strings"
	"syscall"
	"testing"

	"ftpfs/conn"
)

func TestConnectError(t *testing.T) {
	cfg := conn.Config{Host: "ftp.example.org", Port: 2121, User: "me", Password: "hunter2", HasPassword: true, Path: "dir"}
	wrap := func(op string, err error) error { return &conn.Error{Op: op, Err: err} }
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{&conn.Error{Op: "PASS", Code: 530, Msg: "Login incorrect.", Err: conn.ErrLogin}, exitConnect, "Login incorrect."},
		{wrap("login", conn.ErrNeedTLS), exitConnect, "demands TLS"},
		{wrap("connect", conn.ErrTooMany), exitConnect, "more sessions"},
		{wrap("connect", fmt.Errorf("%w: %w", conn.ErrHostDown, &net.DNSError{Err: "no such host", Name: "ftp.example.org"})), exitConnect, "check the name"},
		{wrap("connect", fmt.Errorf("%w: %w", conn.ErrHostDown, syscall.ECONNREFUSED)), exitConnect, "nothing listens at ftp.example.org:2121"},
		{wrap("connect", conn.ErrHostDown), exitConnect, "check the network"},
		{wrap("connect", conn.ErrTimeout), exitConnect, "does not answer in time"},
		{wrap("connect", conn.ErrProtocol), exitConnect, "does not speak FTP"},
		{errors.New("something else"), exitConnect, "something else"},
		{wrap("CWD", iofs.ErrNotExist), exitFailure, "no directory ftp://me@ftp.example.org:2121/dir"},
		{wrap("CWD", conn.ErrNotDir), exitFailure, "is not a directory"},
		{wrap("CWD", iofs.ErrPermission), exitFailure, "permissions"},
	} {
		var out bytes.Buffer
		code := report(&out, rootError(cfg, c.err))
		if line := out.String(); code != c.code || !strings.Contains(line, c.says) || strings.Contains(line, "hunter2") {
			t.Errorf("%v: code %d, %q; want %d and %q", c.err, code, line, c.code, c.says)
		}
	}
	cfg.HasPassword = false
	if err := connectError(cfg, conn.ErrLogin); !strings.Contains(err.Error(), "--password-file") {
		t.Errorf("a refused login without a password does not say how to give one: %v", err)
	}
}

func TestReportIsOneLine(t *testing.T) {
	var out bytes.Buffer
	code := report(&out, errors.Join(failf("first\r\n"), errors.New("second\x1b[2J")))
	if code != exitFailure || out.String() != "ftpfs: first   second [2J\n" {
		t.Errorf("code %d, %q", code, out.String())
	}
}
