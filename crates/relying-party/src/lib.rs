//! What an application links to check Vouchsafe and Azure Attestation tokens.
