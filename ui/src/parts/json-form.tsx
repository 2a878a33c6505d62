import Form from "@rjsf/core";
import type { RJSFSchema } from "@rjsf/utils";
import { customizeValidator } from "@rjsf/validator-ajv8";
import Ajv2020 from "ajv/dist/2020";
import { useRef, useState } from "react";

import type { ApiError } from "../api/client";
import { ErrorNotice } from "./notices";

const validator = customizeValidator({ AjvClass: Ajv2020 });

export interface JsonFormProps {
  schema: object | null;
  start: object;
  action: string;
  pending: boolean;
  error: ApiError | null;
  send: (value: Record<string, unknown>) => void;
}

type Properties = Record<string, RJSFSchema>;

const propertiesOf = (schema: object | null) => ((schema as RJSFSchema | null)?.properties ?? {}) as Properties;

/** The title stands above the form already; a key of which nothing is said gets a field for text. */
function forForm(schema: object): RJSFSchema {
  const properties = Object.entries(propertiesOf(schema)).map(([name, property]) => [
    name,
    isUntyped(property) ? { ...property, type: "string" } : property,
  ]);
  return { ...schema, title: undefined, properties: Object.fromEntries(properties) as Properties };
}

const isUntyped = (property: RJSFSchema) =>
  !["type", "enum", "const", "oneOf", "anyOf", "allOf", "$ref"].some((key) => key in property);

/** Text that is a list or an object where any JSON may stand is taken as such. */
function parsed(schema: object, value: object): Record<string, unknown> {
  const read = (name: string, given: unknown): unknown => {
    const property = propertiesOf(schema)[name];
    if (typeof given !== "string" || !property || !isUntyped(property) || !/^\s*[[{]/.test(given)) return given;
    try {
      return JSON.parse(given);
    } catch {
      return given;
    }
  };
  return Object.fromEntries(Object.entries(value).map(([name, given]) => [name, read(name, given)]));
}

/** A form made from a JSON Schema; without a schema, or on demand, a field for JSON text. */
export default function JsonForm({ schema, start, action, pending, error, send }: JsonFormProps) {
  const [value, setValue] = useState<object>(start);
  const fillable = schema !== null && Object.keys(propertiesOf(schema)).length > 0;
  const [asText, setAsText] = useState(!fillable);
  return (
    <>
      {fillable && (
        <div className="switch">
          <button type="button" className="quiet" aria-pressed={asText} onClick={() => setAsText(!asText)}>
            {asText ? "Fill in a form" : "Write JSON"}
          </button>
        </div>
      )}
      {error && <ErrorNotice error={error} />}
      {asText || !fillable ? (
        <TextForm value={value} action={action} pending={pending} change={setValue} send={send} />
      ) : (
        <Form
          schema={forForm(schema)}
          validator={validator}
          formData={value}
          onChange={({ formData }) => setValue((formData ?? {}) as object)}
          onSubmit={({ formData }) => send(parsed(schema, (formData ?? {}) as object))}
          uiSchema={{
            "ui:submitButtonOptions": { submitText: action, props: { className: "primary", disabled: pending } },
          }}
          showErrorList={false}
          noHtml5Validate
        />
      )}
    </>
  );
}

interface TextFormProps {
  value: object;
  action: string;
  pending: boolean;
  change: (value: object) => void;
  send: JsonFormProps["send"];
}

function TextForm({ value, action, pending, change, send }: TextFormProps) {
  const [text, setText] = useState(() => JSON.stringify(value, null, 2));
  const [problem, setProblem] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const read = (written: string): Record<string, unknown> | null => {
    try {
      const parsed: unknown = JSON.parse(written);
      if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
        throw new Error("give an object: {…}");
      setProblem("");
      return parsed as Record<string, unknown>;
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "no JSON");
      return null;
    }
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const parsed = read(text);
        if (parsed) send(parsed);
        else field.current?.focus();
      }}
    >
      <label>
        JSON
        <textarea
          ref={field}
          rows={10}
          className="code"
          spellCheck={false}
          value={text}
          aria-invalid={problem !== ""}
          onChange={(event) => {
            setText(event.target.value);
            const parsed = read(event.target.value);
            if (parsed) change(parsed);
          }}
        />
      </label>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" className="primary" disabled={pending}>
        {action}
      </button>
    </form>
  );
}
