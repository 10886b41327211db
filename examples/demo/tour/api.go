package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

type target struct {
	Name      string `json:"name"`
	State     string `json:"state"`
	PID       int    `json:"pid"`
	GoVersion string `json:"go_version"`
}

type alert struct {
	Target   string `json:"target"`
	Severity string `json:"severity"`
	State    string `json:"state"`
	Rule     string `json:"rule"`
	Message  string `json:"message"`
	Since    string `json:"since"`
}

type site struct {
	TypeName        string  `json:"type_name"`
	Tag             string  `json:"tag"` // what it was allocated for: the handler
	Function        string  `json:"function"`
	File            string  `json:"file"`
	Line            int     `json:"line"`
	RetainedBytes   float64 `json:"retained_bytes"`
	RetainedPercent float64 `json:"retained_percent"`
}

type suggestion struct {
	Target  string `json:"target"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
	Advice  string `json:"advice"`
}

func (s site) where() string {
	if s.File == "" {
		return s.Function
	}
	return fmt.Sprintf("%s  %s:%d", s.Function, s.File[strings.LastIndex(s.File, "/")+1:], s.Line)
}

type client struct {
	base string
}

func (c *client) get(path string, into interface{}) error {
	patient := http.Client{Timeout: 5 * time.Second}
	response, err := patient.Get(c.base + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
