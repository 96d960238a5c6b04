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
    /// The next claim with the same symbol, or [`NONE`].
    next: usize,
}

/// All claims that conditions may look at, chained by symbol in their order. Claims are never removed.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    held: Vec<Held<'a>>,
    /// First and last claim of each symbol, or [`NONE`] twice.
    chains: Vec<(usize, usize)>,
    /// Also those that no condition looks at.
    all: bool,
    /// How many claims there are, held or not.
    count: usize,
    limit: usize,
}

/// No claim.
const NONE: usize = usize::MAX;

impl<'a> Claims<'a> {
    /// The incoming set, `all` of it or what the conditions of `program` may look at.
    pub(super) fn new(
        program: &'a Program,
        incoming: &'a [Claim],
        limit: usize,
        all: bool,
    ) -> Result<Self, Fault> {
        if incoming.len() > limit {
            return Err(Fault::TooManyClaims { limit });
        }
        let all = all || program.looks_at_all;
        // Room for what the policy adds, so that ordinary policies allocate once.
        let room = if all { incoming.len() + program.issuance.len().min(64) } else { program.symbols.len() };
        let held = Vec::with_capacity(room.min(incoming.len() + 64));
        let chains = vec![(NONE, NONE); program.symbols.len()];
        let mut claims = Self { held, chains, all, count: incoming.len(), limit };
        if !all && program.symbols.len() == 0 {
            return Ok(claims);
        }
        for claim in incoming {
            let symbol = program.symbols.find(&claim.claim_type);
            if symbol.is_none() && !all {
                continue;
            }
            let from_service = claim.issuer == Issuer::AttestationService;
            if from_service && program.version < Version::V1_2 && is_json_evidence(&claim.claim_type) {
                continue;
            }
            claims.hold(
                symbol,
                Held {
                    claim_type: Text::Borrowed(&claim.claim_type),
                    value: Val::of_claim(&claim.value),
                    issuer: claim.issuer,
                    read_only: from_service && claim.claim_type == "pcrs",
                    next: NONE,
                },
            );
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
        if self.admit(program, &claim_type)? {
            let symbol = program.symbols.find(&claim_type);
            let issuer = Issuer::AttestationPolicy;
            self.hold(symbol, Held { claim_type, value, issuer, read_only, next: NONE });
        }
        Ok(())
    }

    /// Counts a claim that the policy makes, as [`Self::add`] does, and adds a copy of the claim at `index` under that
    /// name, if any condition may look at it.
    pub(super) fn add_copy(
        &mut self,
        program: &Program,
        claim_type: Text<'a>,
        index: usize,
    ) -> Result<(), Fault> {
        if self.admit(program, &claim_type)?
            && let Some(Held { value, read_only, .. }) = self.held.get(index)
        {
            let (value, read_only, issuer) = (value.clone(), *read_only, Issuer::AttestationPolicy);
            let symbol = program.symbols.find(&claim_type);
            self.hold(symbol, Held { claim_type, value, issuer, read_only, next: NONE });
        }
        Ok(())
    }

    /// Counts a claim that the policy makes; says whether a condition may look at it.
    #[inline]
    fn admit(&mut self, program: &Program, claim_type: &str) -> Result<bool, Fault> {
        if self.count >= self.limit {
            return Err(Fault::TooManyClaims { limit: self.limit });
        }
        self.count += 1;
        Ok(self.all || program.symbols.find(claim_type).is_some())
    }

    fn hold(&mut self, symbol: Option<Symbol>, claim: Held<'a>) {
        let index = self.held.len();
        if let Some(chain) = symbol.and_then(|symbol| self.chains.get_mut(symbol)) {
            match self.held.get_mut(chain.1) {
                Some(previous) => previous.next = index,
                None => chain.0 = index,
            }
            chain.1 = index;
        }
        self.held.push(claim);
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Held<'a>> {
        self.held.get(index)
    }

    /// The first claim that a condition has to look at.
    pub(super) fn first(&self, symbol: Option<Symbol>) -> Option<usize> {
        match symbol {
            Some(symbol) => self.chains.get(symbol).map(|(first, _)| *first).filter(|first| *first != NONE),
            None => (!self.held.is_empty()).then_some(0),
        }
    }

    /// The one after the claim at `index`.
    pub(super) fn next(&self, symbol: Option<Symbol>, index: usize) -> Option<usize> {
        match symbol {
            Some(_) => self.held.get(index).map(|held| held.next).filter(|next| *next != NONE),
            None => Some(index + 1).filter(|next| *next < self.held.len()),
        }
    }
}

/// Claims that came with version 1.2 of the language; earlier policies do not see them.
fn is_json_evidence(claim_type: &str) -> bool {
    matches!(claim_type, "events" | "bootEvents" | "pcrs" | "x-ms-tpm-request-key" | "x-ms-tpm-other-keys")
}
