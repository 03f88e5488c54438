package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is a part of the flags with a heading of its own in --help.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// newFlagGroup returns the flags that define defines, in that order.
func newFlagGroup(title string, define func(*pflag.FlagSet)) flagGroup {
	f := pflag.NewFlagSet(title, pflag.ContinueOnError)
	f.SortFlags = false
	define(f)
	return flagGroup{title, f}
}

// showGroups makes the help of root show its flags in groups.
func showGroups(root *cobra.Command, groups []flagGroup) {
	usual := root.UsageTemplate()
	var text strings.Builder
	for _, g := range groups {
		text.WriteString("\n\n" + g.title + ":\n" + strings.TrimRight(g.flags.FlagUsages(), "\n"))
	}
	const all = "\n\nFlags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}"
	root.SetUsageTemplate(strings.Replace(usual, all, text.String(), 1) + exitHelp)
	for _, c := range root.Commands() {
		c.SetUsageTemplate(usual + exitHelp)
	}
}
