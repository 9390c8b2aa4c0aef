//! Which id an imported notification has.
//!
//! Where a tenant has no notifications yet, keys are kept as ids. Else ids that were given here already are skipped:
//! a run of keys is moved up behind them as a whole. Runs are planned once, before their first record, and never
//! changed, so that a repeat finds the same ids; new notifications get ids behind all that are planned.

use crate::{
    config::limits::IMPORT_RUNS_MAX,
    records::{
        RecordsError, Rejection,
        apply::Step,
        keys::{Key, Table},
        rows::{ImportPlan, ImportRun, ImportedKeys, TenantFigures},
        txn::get,
    },
};
use carillon_storage::tables::Read;
use std::collections::{BTreeMap, btree_map::Entry};

/// Keys whose bits are one row.
const KEYS_PER_ROW: u64 = 1 << 15;

/// A tenant's plan while a command works on it.
pub(super) struct Ids {
    plan: ImportPlan,
    last_given: u64,
    /// Rows of bits by number.
    taken: BTreeMap<u64, ImportedKeys>,
}

impl Ids {
    pub(super) fn load<S: Read>(step: &Step<'_, '_, S>) -> Result<Self, RecordsError> {
        let figures: TenantFigures = step.txn.get_or_default(&Key::tenant(Table::Tenants, step.tenant))?;
        let plan = step.txn.get_or_default(&Key::tenant(Table::ImportPlans, step.tenant))?;
        Ok(Self { plan, last_given: figures.last_notification, taken: BTreeMap::new() })
    }

    /// Plans ids for all keys up to this one, behind those that were given so far.
    pub(super) fn cover(&mut self, key: u64) -> Result<(), Rejection> {
        if key <= self.plan.covered {
            return Ok(());
        }
        let first = self.plan.covered + 1;
        let shift = self.last_given.saturating_sub(self.plan.covered);
        if self.plan.runs.last().is_none_or(|run| run.shift != shift) {
            if self.plan.runs.len() == IMPORT_RUNS_MAX {
                let max = IMPORT_RUNS_MAX as u64;
                return Err(Rejection::TooMany { what: "imports that go on while others send".into(), max });
            }
            self.plan.runs.push(ImportRun { first, shift });
        }
        self.plan.covered = key;
        self.last_given = key + shift;
        Ok(())
    }

    /// The id of a key that is covered.
    pub(super) fn of(&self, key: u64) -> u64 {
        let run = self.plan.runs.iter().rev().find(|run| run.first <= key);
        key + run.map_or(0, |run| run.shift)
    }

    /// How far the newest keys are moved up; 0: ids are the other system's keys.
    pub(super) fn shift(&self) -> u64 {
        self.plan.runs.last().map_or(0, |run| run.shift)
    }

    /// Notes that a key has come; `false` if it has come before.
    pub(super) fn take<S: Read>(&mut self, step: &Step<'_, '_, S>, key: u64) -> Result<bool, RecordsError> {
        let (number, nth) = (key / KEYS_PER_ROW, key % KEYS_PER_ROW);
        let row = match self.taken.entry(number) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => place.insert(get(step.txn, &Self::row_key(step, number))?.unwrap_or_default()),
        };
        let (byte, bit) = ((nth / 8) as usize, 1 << (nth % 8));
        if row.bits.len() <= byte {
            row.bits.resize(byte + 1, 0);
        }
        let is_new = row.bits[byte] & bit == 0;
        row.bits[byte] |= bit;
        Ok(is_new)
    }

    /// Writes what has changed.
    pub(super) fn store<S: Read>(self, step: &mut Step<'_, '_, S>) -> Result<(), RecordsError> {
        let key = Key::tenant(Table::Tenants, step.tenant);
        let mut figures: TenantFigures = step.txn.get_or_default(&key)?;
        if figures.last_notification != self.last_given {
            figures.last_notification = self.last_given;
            step.txn.put(key, &figures)?;
            step.txn.put(Key::tenant(Table::ImportPlans, step.tenant), &self.plan)?;
        }
        for (number, row) in self.taken {
            step.txn.put(Self::row_key(step, number), &row)?;
        }
        Ok(())
    }

    fn row_key<S: Read>(step: &Step<'_, '_, S>, number: u64) -> Key {
        Key::tenant_row(Table::ImportedKeys, step.tenant, number)
    }
}
