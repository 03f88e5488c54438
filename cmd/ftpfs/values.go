package main

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"ftpfs/conn"
)

// sizeValue is a flag in bytes: a number with an optional unit K, M, G or T
// (powers of 1024; "KiB" and "KB" mean the same), at least 1.
type sizeValue int64

func (v *sizeValue) Set(s string) error {
	u := strings.ToUpper(strings.TrimSpace(s))
	u = strings.TrimSuffix(strings.TrimSuffix(u, "B"), "I")
	shift := 0
	if n := len(u); n > 0 {
		if i := strings.IndexByte("KMGT", u[n-1]); i >= 0 {
			shift, u = 10*(i+1), u[:n-1]
		}
	}
	n, err := strconv.ParseUint(u, 10, 63)
	if err != nil || n == 0 || n > math.MaxInt64>>shift {
		return errors.New("want a size such as 500M or 10G")
	}
	*v = sizeValue(n << shift)
	return nil
}

func (v *sizeValue) String() string {
	n, unit := int64(*v), ""
	for _, u := range []string{"K", "M", "G", "T"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

func (v *sizeValue) Type() string { return "size" }

// anySizeValue is a sizeValue that may be 0.
type anySizeValue int64

func (v *anySizeValue) Set(s string) error {
	if strings.TrimSpace(s) == "0" {
		*v = 0
		return nil
	}
	return (*sizeValue)(v).Set(s)
}

func (v *anySizeValue) String() string { return (*sizeValue)(v).String() }

func (v *anySizeValue) Type() string { return "size" }

// modeValue is a flag with permission bits in octal, 0 to 0777. It is nil
// until set.
type modeValue struct{ bits **uint32 }

func (v modeValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return errors.New("want permission bits in octal, such as 0644")
	}
	bits := uint32(n)
	*v.bits = &bits
	return nil
}

func (v modeValue) String() string {
	if v.bits == nil || *v.bits == nil {
		return ""
	}
	return fmt.Sprintf("%04o", **v.bits)
}

func (v modeValue) Type() string { return "octal" }

// secondsValue is a flag with a time span: "90s", "5m" or plain seconds, at
// least min.
type secondsValue struct {
	d   *time.Duration
	min time.Duration
}

func (v secondsValue) Set(s string) error {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New("want a time such as 30s or 5m")
	}
	if d < v.min {
		return fmt.Errorf("want at least %v", v.min)
	}
	*v.d = d
	return nil
}

func (v secondsValue) String() string {
	if v.d == nil {
		return ""
	}
	return v.d.String()
}

func (v secondsValue) Type() string { return "time" }

// globsValue is a flag with patterns of file names (path.Match), separated by
// commas; empty: none.
type globsValue struct{ globs *[]string }

func (v globsValue) Set(s string) error {
	*v.globs = nil
	for glob := range strings.SplitSeq(s, ",") {
		if _, err := path.Match(glob, ""); err != nil || strings.Contains(glob, "/") {
			return fmt.Errorf("want patterns of file names such as *.tmp, not %q", glob)
		}
		if glob != "" {
			*v.globs = append(*v.globs, glob)
		}
	}
	return nil
}

func (v globsValue) String() string {
	if v.globs == nil {
		return ""
	}
	return strings.Join(*v.globs, ",")
}

func (v globsValue) Type() string { return "globs" }

// idValue is a flag with a user or group number, 0 to 2^32-2.
type idValue uint32

func (v *idValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return errors.New("want a number from 0 to 4294967294")
	}
	*v = idValue(n)
	return nil
}

func (v *idValue) String() string { return strconv.FormatUint(uint64(*v), 10) }

func (v *idValue) Type() string { return "number" }

// choiceValue is a flag that takes one of a few words.
type choiceValue struct {
	s       *string
	choices []string
}

func (v choiceValue) Set(s string) error {
	if !slices.Contains(v.choices, s) {
		return fmt.Errorf("want one of %s", strings.Join(v.choices, ", "))
	}
	*v.s = s
	return nil
}

func (v choiceValue) String() string {
	if v.s == nil {
		return ""
	}
	return *v.s
}

func (v choiceValue) Type() string { return strings.Join(v.choices, "|") }

// zoneValue is a flag with a time zone: a name of the IANA data base, or hours
// and minutes east of UTC.
type zoneValue struct{ name *string }

func (v zoneValue) Set(s string) error {
	if _, err := parseZone(s); err != nil || s == "" {
		return errors.New("want a time zone such as Europe/Berlin, UTC or +02:00")
	}
	*v.name = s
	return nil
}

func (v zoneValue) String() string {
	if v.name == nil {
		return ""
	}
	return *v.name
}

func (v zoneValue) Type() string { return "zone" }

// parseZone reads what a zoneValue holds.
func parseZone(s string) (*time.Location, error) {
	if t, err := time.Parse("-07:00", s); err == nil {
		_, east := t.Zone()
		return time.FixedZone(s, east), nil
	}
	return time.LoadLocation(s)
}

// listZone is --server-timezone; nil: it is to be found out.
func (s *settings) listZone() *time.Location {
	zone, err := parseZone(s.ServerTimezone)
	if err != nil || s.ServerTimezone == "" {
		return nil
	}
	return zone
}

// charsetValue is a flag with the name of a charset that conn.ParseCharset knows.
type charsetValue struct{ name *string }

func (v charsetValue) Set(s string) error {
	if _, err := conn.ParseCharset(s); err != nil {
		return err
	}
	*v.name = s
	return nil
}

func (v charsetValue) String() string {
	if v.name == nil {
		return ""
	}
	return *v.name
}

func (v charsetValue) Type() string { return "charset" }
