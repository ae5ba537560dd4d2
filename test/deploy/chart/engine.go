// Renders the templates of a Helm chart the way Helm does: with Go's text/template, the functions of sprig, and Helm's own
// functions, as far as charts that look nothing up need them. What to render comes as JSON on standard input, what was
// rendered goes as JSON to standard output. Helm itself is in no package of Debian.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type input struct {
	Chart        map[string]interface{} `json:"chart"`
	Values       map[string]interface{} `json:"values"`
	Release      map[string]interface{} `json:"release"`
	Capabilities map[string]interface{} `json:"capabilities"`
	Templates    map[string]string      `json:"templates"`
	Files        files                  `json:"files"`
}

type files map[string]string

func (f files) Get(name string) string { return f[name] }

func main() {
	var given input
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail(err)
	}
	rendered, err := render(given)
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(rendered); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func render(given input) (map[string]string, error) {
	// A value that is not there is nothing, as in Helm without --strict.
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(functions(all))
	names := make([]string, 0, len(given.Templates))
	for name := range given.Templates {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if _, err := all.New(name).Parse(given.Templates[name]); err != nil {
			return nil, err
		}
	}
	rendered := map[string]string{}
	for _, name := range names {
		if strings.HasPrefix(path.Base(name), "_") {
			continue
		}
		var out strings.Builder
		err := all.ExecuteTemplate(&out, name, map[string]interface{}{
			"Chart":        given.Chart,
			"Values":       given.Values,
			"Release":      given.Release,
			"Capabilities": given.Capabilities,
			"Files":        given.Files,
			"Template":     map[string]interface{}{"Name": name, "BasePath": "templates"},
		})
		if err != nil {
			return nil, err
		}
		rendered[name] = strings.ReplaceAll(out.String(), "<no value>", "")
	}
	return rendered, nil
}

func functions(all *template.Template) template.FuncMap {
	known := sprig.TxtFuncMap()
	// Helm takes these two away: a chart reads no environment.
	delete(known, "env")
	delete(known, "expandenv")
	known["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	known["required"] = func(warning string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return value, errors.New(warning)
		}
		return value, nil
	}
	known["fail"] = func(message string) (string, error) { return "", errors.New(message) }
	known["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	return known
}
