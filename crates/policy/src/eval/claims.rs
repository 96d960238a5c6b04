//! The incoming set: claims in their order, and those of each type that conditions ask for.

use crate::claim::{Claim, Issuer};
use crate::error::Fault;
use crate::policy::Version;
use crate::program::{Program, Symbol};
use crate::value::{Text, Val};

/// A claim of the incoming set.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) claim_type: Text<'a>,
    pub(super) value: Val<'a>,
    pub(super) issuer: Issuer,
    /// Cannot be issued to the token.
    pub(super) read_only: bool,
    /// The next claim with the same symbol.
    next: Option<usize>,
}

/// All claims, chained by symbol in their order. Claims are never removed.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    held: Vec<Held<'a>>,
    /// First and last claim of each symbol.
    chains: Vec<Option<(usize, usize)>>,
    limit: usize,
}

impl<'a> Claims<'a> {
    pub(super) fn new(program: &'a Program, incoming: &'a [Claim], limit: usize) -> Result<Self, Fault> {
        if incoming.len() > limit {
            return Err(Fault::TooManyClaims { limit });
        }
        // Room for what the policy adds, so that ordinary policies allocate once.
        let held = Vec::with_capacity(incoming.len() + program.issuance.len().min(64));
        let mut claims = Self { held, chains: vec![None; program.symbols.len()], limit };
        for claim in incoming {
            let from_service = claim.issuer == Issuer::AttestationService;
            if from_service && program.version < Version::V1_2 && is_json_evidence(&claim.claim_type) {
                continue;
            }
            let claim_type = Text::Borrowed(&claim.claim_type);
            let read_only = from_service && claim.claim_type == "pcrs";
            claims.push(program, claim_type, Val::of_claim(&claim.value), claim.issuer, read_only)?;
        }
        Ok(claims)
    }

    /// Adds a claim that the policy makes.
    pub(super) fn add(
        &mut self,
        program: &Program,
        claim_type: Text<'a>,
        value: Val<'a>,
        read_only: bool,
    ) -> Result<(), Fault> {
        self.push(program, claim_type, value, Issuer::AttestationPolicy, read_only)
    }

    fn push(
        &mut self,
        program: &Program,
        claim_type: Text<'a>,
        value: Val<'a>,
        issuer: Issuer,
        read_only: bool,
    ) -> Result<(), Fault> {
        let index = self.held.len();
        if index >= self.limit {
            return Err(Fault::TooManyClaims { limit: self.limit });
        }
        if let Some(chain) = program.symbol(&claim_type).and_then(|symbol| self.chains.get_mut(symbol)) {
            match chain {
                Some((_, last)) => {
                    if let Some(previous) = self.held.get_mut(*last) {
                        previous.next = Some(index);
                    }
                    *last = index;
                }
                None => *chain = Some((index, index)),
            }
        }
        self.held.push(Held { claim_type, value, issuer, read_only, next: None });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Held<'a>> {
        self.held.get(index)
    }

    /// The first claim that a condition has to look at.
    pub(super) fn first(&self, symbol: Option<Symbol>) -> Option<usize> {
        match symbol {
            Some(symbol) => self.chains.get(symbol).copied().flatten().map(|(first, _)| first),
            None => (!self.held.is_empty()).then_some(0),
        }
    }

    /// The one after the claim at `index`.
    pub(super) fn next(&self, symbol: Option<Symbol>, index: usize) -> Option<usize> {
        match symbol {
            Some(_) => self.held.get(index)?.next,
            None => Some(index + 1).filter(|next| *next < self.held.len()),
        }
    }
}

/// Claims that came with version 1.2 of the language; earlier policies do not see them.
fn is_json_evidence(claim_type: &str) -> bool {
    matches!(claim_type, "events" | "bootEvents" | "pcrs" | "x-ms-tpm-request-key" | "x-ms-tpm-other-keys")
}
