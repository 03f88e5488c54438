package main

import (
	"strings"
	"testing"
	"time"
)

func TestSizeValue(t *testing.T) {
	for s, want := range map[string]int64{
		"1": 1, "1k": 1 << 10, "5M": 5 << 20, "5MB": 5 << 20, "5MiB": 5 << 20, "10G": 10 << 30, "2T": 2 << 40, "8388607T": 8388607 << 40,
	} {
		var v sizeValue
		if err := v.Set(s); err != nil || int64(v) != want {
			t.Errorf("%s: %d, %v; want %d", s, v, err, want)
		}
	}
	for _, s := range []string{"", "0", "0G", "-1", "G", "1.5G", "1X", "9999999999999999999", "8388608T", "1 G"} {
		var v sizeValue
		if err := v.Set(s); err == nil {
			t.Errorf("%q is taken as %d", s, v)
		}
	}
	for n, want := range map[int64]string{1: "1", 1500: "1500", 1536: "1536", 1 << 10: "1K", 10 << 30: "10G", 2048 << 40: "2048T"} {
		if v := sizeValue(n); v.String() != want {
			t.Errorf("%d prints as %s, want %s", n, v.String(), want)
		}
	}
}

func TestModeValue(t *testing.T) {
	for s, want := range map[string]uint32{"0": 0, "22": 0o22, "022": 0o22, "0644": 0o644, "0o755": 0o755, "777": 0o777} {
		var bits *uint32
		if err := (modeValue{&bits}).Set(s); err != nil || *bits != want {
			t.Errorf("%s: %v, %v; want %o", s, bits, err, want)
		}
	}
	for _, s := range []string{"", "8", "1000", "rwx", "-1"} {
		var bits *uint32
		if err := (modeValue{&bits}).Set(s); err == nil {
			t.Errorf("%q is taken as %o", s, *bits)
		}
	}
}

func TestSecondsValue(t *testing.T) {
	for s, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": 500 * time.Millisecond, "2m": 2 * time.Minute, "0": 0} {
		var d time.Duration
		if err := (secondsValue{&d, 0}).Set(s); err != nil || d != want {
			t.Errorf("%s: %v, %v; want %v", s, d, err, want)
		}
	}
	for _, s := range []string{"", "soon", "-1", "inf", "nan"} {
		var d time.Duration
		if err := (secondsValue{&d, 0}).Set(s); err == nil {
			t.Errorf("%q is taken as %v", s, d)
		}
	}
}

func TestIDValue(t *testing.T) {
	var v idValue
	if err := v.Set("4294967294"); err != nil || v != 4294967294 {
		t.Errorf("the highest id: %v, %v", v, err)
	}
	for _, s := range []string{"", "-1", "root", "4294967295"} {
		if err := v.Set(s); err == nil {
			t.Errorf("%q is taken as %v", s, v)
		}
	}
}

func TestCharsetValue(t *testing.T) {
	for _, s := range []string{"GBK", "utf-8", "latin1", "windows-1251"} {
		var name string
		if err := (charsetValue{&name}).Set(s); err != nil || name != s {
			t.Errorf("%s: %q, %v", s, name, err)
		}
	}
	for _, s := range []string{"klingon", "UTF-16", "ISO-2022-JP"} {
		var name string
		if err := (charsetValue{&name}).Set(s); err == nil || !strings.Contains(err.Error(), s) || name != "" {
			t.Errorf("%s is taken: %v", s, err)
		}
	}
}
