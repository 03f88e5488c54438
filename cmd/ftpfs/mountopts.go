package main

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// optionList is the flag -o: a comma-separated list of long flags without
// their dashes and of mount(8)'s own options. Each is applied as it is read,
// so that of two that contradict each other the last one counts.
type optionList struct {
	s     *settings
	flags *pflag.FlagSet
}

func (o *optionList) String() string { return "" }

func (o *optionList) Type() string { return "list" }

// Set applies the options of one -o.
func (o *optionList) Set(list string) error {
	for _, opt := range splitOptions(list) {
		if err := o.apply(opt); err != nil {
			return err
		}
	}
	return nil
}

// splitOptions splits at commas and drops empty parts. As for mount(8)'s
// helpers "\," is a comma and "\\" a backslash in a value.
func splitOptions(list string) []string {
	var opts []string
	var b strings.Builder
	end := func() {
		if b.Len() > 0 {
			opts = append(opts, b.String())
		}
		b.Reset()
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '\\' && i+1 < len(list) && (list[i+1] == ',' || list[i+1] == '\\'):
			i++
			b.WriteByte(list[i])
		case c == ',':
			end()
		default:
			b.WriteByte(c)
		}
	}
	end()
	return opts
}

// handling says what becomes of an option of mount(8).
type handling uint8

const (
	ignored   handling = iota + 1
	forKernel          // passed on
	forMount           // decides something here
)

// mountOption tells how an option of mount(8) is handled, 0 if it is not one.
func mountOption(name string) handling {
	switch name {
	case "dev", "nodev", "suid", "nosuid", "exec", "noexec", "noatime", "max_read":
		return forKernel
	case "ro", "rw", "nonempty", "fsname":
		return forMount
	case "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "group", "nofail", "_netdev",
		"comment", "subtype", "default_permissions", "async", "sync", "dirsync", "atime", "diratime",
		"nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime":
		return ignored
	}
	if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-") {
		return ignored
	}
	return 0
}

func (o *optionList) apply(opt string) error {
	name, value, hasValue := strings.Cut(opt, "=")
	switch mountOption(name) {
	case ignored:
		return nil
	case forKernel:
		o.s.MountOptions = append(o.s.MountOptions, opt)
		return nil
	case forMount:
		return o.decide(name, value)
	}
	flag := o.flags.Lookup(strings.ReplaceAll(name, "_", "-"))
	if flag == nil || !optionFlag(flag) {
		return o.unknown(name)
	}
	if !hasValue {
		if flag.NoOptDefVal == "" {
			return usagef("the option %s needs a value: -o %s=…", name, name)
		}
		value = flag.NoOptDefVal
	}
	if err := o.flags.Set(flag.Name, value); err != nil {
		if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			err = bad.Unwrap()
		}
		return usagef("-o %s=%s: %v", name, value, err)
	}
	return nil
}

// optionFlag reports whether a flag can be given by -o.
func optionFlag(f *pflag.Flag) bool {
	return f.Name != "options" && f.Name != "help"
}

// decide applies the options of mount(8) that mean something here.
func (o *optionList) decide(name, value string) error {
	switch name {
	case "ro", "rw":
		o.s.ReadOnly = name == "ro"
	case "nonempty":
		o.s.NonEmpty = true
	case "fsname":
		if value == "" {
			return usagef("the option fsname needs a value: -o fsname=NAME")
		}
		o.s.FSName = value
	}
	return nil
}

// unknown names the option and the one that was probably meant.
func (o *optionList) unknown(name string) error {
	best, least := "", 3
	consider := func(candidate string) {
		if d := distance(strings.ReplaceAll(name, "_", "-"), candidate); d < least {
			best, least = candidate, d
		}
	}
	o.flags.VisitAll(func(f *pflag.Flag) {
		if optionFlag(f) {
			consider(f.Name)
		}
	})
	for _, c := range []string{"nodev", "nosuid", "noexec", "noatime", "relatime", "nonempty", "fsname", "defaults", "nofail", "noauto"} {
		consider(c)
	}
	if best == "" {
		return usagef("unknown option -o %s: see ftpfs --help", name)
	}
	return usagef("unknown option -o %s: did you mean %s?", name, best)
}

// distance is the Levenshtein distance: how many bytes to insert, delete or
// replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
