//! A real Django behind the webhook.
