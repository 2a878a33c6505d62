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

/** Keys without a type take JSON, which no form field can: those schemas are filled in as text. */
function isFillable(schema: object | null): schema is RJSFSchema {
  const properties = Object.values((schema as RJSFSchema | null)?.properties ?? {});
  return properties.length > 0 && properties.every((each) => typeof each === "object" && "type" in each);
}

/** A form made from a JSON Schema; without a schema, or on demand, a field for JSON text. */
export default function JsonForm({ schema, start, action, pending, error, send }: JsonFormProps) {
  const [value, setValue] = useState<object>(start);
  const [asText, setAsText] = useState(!isFillable(schema));
  return (
    <>
      {isFillable(schema) && (
        <div className="switch">
          <button type="button" className="quiet" aria-pressed={asText} onClick={() => setAsText(!asText)}>
            {asText ? "Fill in a form" : "Write JSON"}
          </button>
        </div>
      )}
      {error && <ErrorNotice error={error} />}
      {asText || !isFillable(schema) ? (
        <TextForm value={value} action={action} pending={pending} change={setValue} send={send} />
      ) : (
        <Form
          schema={untitled(schema)}
          validator={validator}
          formData={value}
          onChange={({ formData }) => setValue((formData ?? {}) as object)}
          onSubmit={({ formData }) => send((formData ?? {}) as Record<string, unknown>)}
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

/** The title stands above the form already. */
const untitled = (schema: RJSFSchema): RJSFSchema => ({ ...schema, title: undefined });

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
